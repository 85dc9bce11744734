"""The leak in reports: a file of its own, a column of every table, and a table of all figures.

A row is of `queen.redteam.leak.meter`; figures are shares, 0 to 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from queen.redteam.report.rows import Row

LEAKS = "leak.json"
ANSWER, WITH_BELIEF = "answer", "answer and belief"
"""Views of a decoder: the answer alone, and what a copy of the thief's believes beside it."""
FLAGGED, UNFLAGGED, ALL = "flagged", "unflagged", "all"
"""Rows that are read apart; a defense without verdicts has all in one."""
LEAK_COLUMNS = (
    *("defense", "rows", "read from answers", "from decoys"),
    *("with a belief", "from decoys", "leak", "at most"),
)
LEAK_NOTES = """\
*Leak* is what a decoder reads from the answers to flagged queries (of a baseline: to all) beyond
what the input alone gives away, in points, with its upper bound of 95 % in brackets. The decoder is
the best of a comparison, boosted trees and a network, trained on up to 5,000 answers whose labels
an oracle tells and tested on others; beside it, the same decoders read decoys of the same
input, which know nothing of the protectee. It is measured on the in-distribution pool at the budget
of the plan; over several seeds it is a mean, and the bound is that of the worst seed.
"""

Leaks = Sequence[Row]


def read_leaks(path: Path) -> list[Row]:
    """The rows of a file that `write_leaks` wrote; none if there is no such file."""
    if not path.is_file():
        return []
    rows: list[Row] = json.loads(path.read_text())["rows"]
    return rows


def write_leaks(rows: Leaks, command: str, path: Path) -> None:
    """Write rows and the command that gave them as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"bench": "leak", "command": command, "rows": list(rows)}
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")


def leak_cell(leaks: Leaks, key: Row) -> str:
    """The leak of the defense in `key`, a standing's: `43.1 (44.0)`; a dash where none is known."""
    shown = [
        row
        for row in leaks
        if row["rows"] in (FLAGGED, ALL)
        and all(row[name] == key[name] for name in ("dataset", "defense", "profile"))
    ]
    leak = _mean(row["leak"] for row in shown)
    return "-" if leak is None else f"{leak} ({_largest(row['bound'] for row in shown)})"


def leak_rows(leaks: Leaks) -> list[list[str]]:
    """The lines of a table with LEAK_COLUMNS: means over seeds, bounds of the worst seed."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in leaks:
        groups.setdefault((row["profile"] or row["defense"], row["rows"]), []).append(row)
    return [
        [
            *name,
            *(_seen(group, view, figure) for view in (ANSWER, WITH_BELIEF) for figure in _READ),
            _mean(row["leak"] for row in group) or "-",
            _largest(row["bound"] for row in group),
        ]
        for name, group in groups.items()
    ]


_READ = ("read", "from_decoys")


def _seen(rows: Sequence[Row], view: str, figure: str) -> str:
    views: list[dict[str, Any]] = [row["views"][view] for row in rows if row["views"]]
    return _mean(seen[figure] for seen in views) or "-"


def _mean(shares: Iterable[float | None]) -> str | None:
    known = [share for share in shares if share is not None]
    return f"{100 * mean(known):.1f}" if known else None


def _largest(shares: Iterable[float | None]) -> str:
    known = [share for share in shares if share is not None]
    return f"{100 * max(known):.1f}" if known else "-"
