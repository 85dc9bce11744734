"""Rows of a sweep, made by hand."""

from __future__ import annotations

from queen.redteam.learner import LEARNER
from queen.redteam.report.rows import Row


def thief_row(breadth: int, thief: str, accounts: int, copy: float, seed: int = 0) -> Row:
    """A thief's row of a policy without a cap."""
    key = {"cell": f"{thief}-{accounts}-{breadth}-{seed}", "seed": seed, "learner": LEARNER}
    policy = {"budget": 100, "breadth": breadth, "class_cap": None}
    return {**key, **policy, "thief": thief, "accounts": accounts, "clean": 1500, "copy": copy}


def kind_row(breadth: int, kind: str, answers: list[int | None], over: int, seed: int = 0) -> Row:
    """The row of a kind of honest traffic of a policy without a cap."""
    key = {"cell": f"honest-{kind}-{breadth}-{seed}", "seed": seed, "learner": LEARNER}
    policy = {"budget": 100, "breadth": breadth, "class_cap": None}
    return {**key, **policy, "kind": kind, "accounts": 1000, "answers": answers, "over": over}


ROWS = [
    *(kind_row(breadth, "even", [1400 + breadth, 1600, 1800], 1000) for breadth in (5, 1)),
    kind_row(1, "one class", [130, 170, 250], 1000),
    kind_row(5, "one class", [None, None, None], 0),
    thief_row(1, "even", 1, 0.80),
    thief_row(5, "even", 1, 0.81),
    thief_row(5, "hoarding", 1, 0.84),
    thief_row(5, "hoarding", 1, 0.86, seed=1),
    thief_row(5, "class split", 10, 0.89),
]
