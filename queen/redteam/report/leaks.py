"""The leak in reports: a file of its own, a column of every table, and a table of all figures.

A row is of `queen.redteam.leak.meter`; figures are shares, 0 to 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from queen.method.crossing import CAP_OFF
from queen.redteam.report.rows import Row
from queen.redteam.report.standings import defense_title

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
input, which know nothing of the protectee. Where it was measured at another crossing policy, that
is named; over several seeds it is a mean, and the bound is that of the worst seed.
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


@dataclass(frozen=True)
class Leak:
    """The leak of a defense in points: a mean over seeds, and the bound of the worst seed.

    `policy` says in how far it was measured at another crossing policy than the one asked for, and
    is empty if it was not. Both figures are None where every flagged query was refused.
    """

    leak: float | None
    bound: float | None
    policy: str = ""


def leak_of(leaks: Leaks, key: Row) -> Leak | None:
    """The leak of the defense in `key`, a standing's; None where none was measured.

    Flagged rows count, or all rows of a defense without verdicts. Rows of the same crossing policy
    come first, then those of the policy that was measured.
    """
    of_defense = [
        row
        for row in leaks
        if row["rows"] in (FLAGGED, ALL)
        and all(row[name] == key[name] for name in ("dataset", "defense", "profile"))
    ]
    of_policy = [row for row in of_defense if all(row[name] == key[name] for name in _POLICY)]
    if not of_defense:
        return None
    measured = of_defense[0]
    shown = of_policy or [
        row for row in of_defense if all(row[name] == measured[name] for name in _POLICY)
    ]
    bounds = [row["bound"] for row in shown if row["bound"] is not None]
    names = [name for name in _POLICY if measured[name] != key[name]]
    policy = ", ".join(f"{_POLICY[name]} {_shown(measured[name])}" for name in names)
    leak = _mean(row["leak"] for row in shown)
    return Leak(leak, max(bounds, default=None), "" if of_policy else policy)


def _shown(value: int) -> str:
    return "off" if value == CAP_OFF else str(value)


def leak_cell(leaks: Leaks, key: Row) -> str:
    """The leak of the defense in `key`, a standing's: `43.1 (44.0)`; a dash where none is known.

    A leak of another crossing policy names it: `43.1 (44.0) at breadth 1`.
    """
    known = leak_of(leaks, key)
    if known is None:
        return "-"
    if known.leak is None or known.bound is None:
        return "refused"
    policy = f" at {known.policy}" if known.policy else ""
    return f"{100 * known.leak:.1f} ({100 * known.bound:.1f}){policy}"


def leak_rows(leaks: Leaks) -> list[list[str]]:
    """The lines of a table with LEAK_COLUMNS: means over seeds, bounds of the worst seed."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in leaks:
        groups.setdefault((defense_title(row), row["rows"]), []).append(row)
    return [
        [
            *name,
            *(_seen(group, view, figure) for view in (ANSWER, WITH_BELIEF) for figure in _READ),
            _percent(_mean(row["leak"] for row in group)),
            _percent(
                max((row["bound"] for row in group if row["bound"] is not None), default=None)
            ),
        ]
        for name, group in groups.items()
    ]


_READ = ("read", "from_decoys")
_POLICY = {"budget": "budget", "breadth": "breadth", "class_cap": "class cap"}


def _seen(rows: Sequence[Row], view: str, figure: str) -> str:
    views: list[dict[str, Any]] = [row["views"][view] for row in rows if row["views"]]
    return _percent(_mean(seen[figure] for seen in views))


def _mean(shares: Iterable[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return mean(known) if known else None


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
