"""The promises that the rows of a siege are held to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

LEAST_KEPT = 0.8
MOST_GROWN_MIB = 100
MOST_LOG_BYTES = 100
"""Bytes of log for each call without a key; lines about accounts are sampled instead."""
MORE_FREE = 5
"""Requests without a verdict beyond those of the control: about as many as a second has."""
MORE_SECONDS = 3.0


def problems_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The promises that rows break; latencies are told and not judged: the cores are shared."""
    controls = {
        row["act"].partition(",")[0]: row for row in rows if row["act"].endswith(", control")
    }
    problems = []
    for row in rows:
        found = _of_act(row) if "kept" in row else _of_other(row, controls)
        problems += [f"{row['act']}: {text}" for text in found]
    return problems


def _of_act(row: dict[str, Any]) -> Iterator[str]:
    # The control tells what the machine had left.
    if row["kept"] < LEAST_KEPT * min(1.0, row["control_kept"]):
        yield f"the victim kept {100 * row['kept']:.0f} % of its answers"
    if row["rss_grown_mib"] > MOST_GROWN_MIB:
        yield f"the door grew by {row['rss_grown_mib']:.0f} MiB"
    if (row["log_bytes_per_call"] or 0) > MOST_LOG_BYTES:
        yield f"the door wrote {row['log_bytes_per_call']:.0f} bytes of log a call"
    if row["without_verdict"] > row["without_verdict_quiet"] + MORE_FREE:
        yield f"{row['without_verdict']:.0f} requests had no verdict"
    if row["kills"]:
        yield "the limit on memory killed a service"


def _of_other(row: dict[str, Any], controls: dict[str, dict[str, Any]]) -> Iterator[str]:
    if row.get("exit_code"):
        yield f"it ended with exit code {row['exit_code']}"
    if row.get("calls_cancelled") or row.get("calls_unknown"):
        yield "calls in flight were lost"
    control = controls.get(row["act"].partition(",")[0])
    if control is None or control is row:
        return
    if row["without_verdict"] > control["without_verdict"] + MORE_FREE:
        free = row["without_verdict"]
        yield f"{free:.0f} labels were free, without watchers {control['without_verdict']:.0f}"
    if row["recovered_seconds"] > control["recovered_seconds"] + MORE_SECONDS:
        seconds = row["recovered_seconds"]
        yield f"it took {seconds:.1f} s, without watchers {control['recovered_seconds']:.1f} s"
