"""The section on the siege: what hostile callers take from an account that asks little."""

from __future__ import annotations

from queen.redteam.report.markdown import table
from queen.results.files import Content, machine_of

_SIEGE = """
## A victim beside hostile callers

`make siege`: the three services, each at the limits of its pod, and an account that asks
{rate:g} requests a second while others do their worst, on the same two cores. *control*: a bare
grpc.aio + ONNX Runtime server, asked at the same times and left alone by the hostile callers; what
it loses is what they, and other work on the machine, take of the processors. In brackets the period
before, without them. *RSS* is the front door's highest, and how much higher than before. `bulk-3`
and `cancelling-3` are three accounts within their limits, which send full requests or give up each
after a millisecond; the others have no key, but for `bombs_with_a_key` and `unread_ids`. Callers
with a key have lines in the log on purpose.
"""
_RECOVERIES = """
After a restart an account over its budget asks until requests have verdicts again. *watchers* hold
64 streams of health and take no bytes; a label is free if its request had no verdict.
"""
_DRAIN = """
SIGTERM amid that load, with the watchers: exit code {exit_code} after {drain_seconds:.1f} s,
{calls_ok} calls answered, {refused} told to go elsewhere, none lost.
"""


def siege_section(siege: Content) -> list[str]:
    """The section, from the file of `make siege`."""
    acts = [row for row in siege["rows"] if "kept" in row]
    lines = [_SIEGE.format(rate=siege["rate"]), machine_of(siege), ""]
    titles = ["act", "kept", "p99, ms", "control p99, ms", "cores", "RSS, MiB", "log bytes a call"]
    lines += [table(titles, [_act(row) for row in acts]), ""]
    recoveries = [row for row in siege["rows"] if "recovered_seconds" in row]
    if recoveries:
        titles = ["restart", "verdicts again after", "free labels"]
        lines += [_RECOVERIES, table(titles, [_recovery(row) for row in recoveries]), ""]
    for row in siege["rows"]:
        if "drain_seconds" in row:
            refused = row.get("calls_unavailable", 0)
            lines.append(_DRAIN.format(refused=refused, **row))
    return lines


def _act(row: Content) -> list[str]:
    return [
        f"`{row['act']}`",
        f"{100 * row['kept']:.0f} %",
        f"{row['p99_ms']:.0f} ({row['p99_quiet_ms']:.0f})",
        f"{row['control_p99_ms']:.0f} ({row['control_p99_quiet_ms']:.0f})",
        f"{row['cores']:.2f} ({row['cores_quiet']:.2f})",
        f"{row['rss_mib']:.0f} ({row['rss_grown_mib']:+.0f})",
        "" if row["log_bytes_per_call"] is None else f"{row['log_bytes_per_call']:.0f}",
    ]


def _recovery(row: Content) -> list[str]:
    return [row["act"], f"{row['recovered_seconds']:.1f} s", f"{row['without_verdict']:.0f}"]
