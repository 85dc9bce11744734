"""The sections on honest accounts, and on accounts of a single thief."""

from __future__ import annotations

from pathlib import Path

from queen.redteam.report.markdown import table
from queen.results.files import Content, read_rows

_HONEST = """
## Honest accounts

`queen demo --dataset fashion-mnist && queen bench honest --train build/demo/fashion-mnist.npz`:
accounts under `strict` that each send the test set in an order of their own. *volume* is the
published number of queries before any label may change, which `queen fit` prints; *reversed before*
counts accounts with a reversed query before it, *flagged* those that the off-distribution meter
flagged within that many queries.
"""
_LINKS = """
## Accounts of one thief

`queen demo --dataset fashion-mnist && queen bench links --seed SEED`: how well overlapping coverage
tells pairs of a thief's accounts from pairs of honest accounts. An AUC of 0.5 is chance: accounts
that split a pool into disjoint parts leave no overlap, so an operator has to name the groups.
"""


def honest_section(files: list[Path]) -> list[str]:
    """The section, if there are files; each holds the row of a seed."""
    rows = read_rows(files)
    if not rows:
        return []
    histories = [history for history in rows[0]["flagged"] if history != str(rows[0]["volume"])]
    flagged = [f"flagged within {int(history):,}" for history in histories]
    titles = ["seed", "budget", "accounts", "volume", "reversed before", "flagged before"]
    cells = [_honest_cells(row, histories) for row in rows]
    return [_HONEST, table([*titles, *flagged], cells), ""]


def _honest_cells(row: Content, histories: list[str]) -> list[str]:
    return [
        *(f"{row[name]:,}" for name in ("seed", "budget", "accounts", "volume")),
        str(row["reversed_before_volume"]),
        str(row["flagged"][str(row["volume"])]),
        *(str(row["flagged"][history]) for history in histories),
    ]


def links_section(files: list[Path]) -> list[str]:
    """The section, if there are files; each holds the rows of a seed."""
    cells = [
        [
            str(row["seed"]),
            row["split"],
            f"{row['accounts']} x {row['queries_each']}",
            f"{row['auc']:.3f}",
            f"{100 * row['linked']:.1f}",
            f"{100 * row['false_links']:.1f}",
        ]
        for row in read_rows(files)
    ]
    titles = ["seed", "the thief's accounts ask", "accounts", "AUC", "linked, %", "false links, %"]
    return [_LINKS, table(titles, cells), ""] if cells else []
