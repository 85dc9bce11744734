"""Logs of two accounts that spend their budgets, and changes to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from queen_sensitivity.engine.charging import AccountPolicy

from queen.bundle import Bundle
from queen.method.crossing import CrossingPolicy
from tests.unit.replay.written import Row, WrittenLog

PLAIN = [
    AccountPolicy("alice"),
    AccountPolicy("bob", group="acme", group_crossing=CrossingPolicy(6)),
]
Records = list[dict[str, Any]]


def spread(owner: int, label: int, count: int, reach: float = 0.9) -> list[Row]:
    """Queries of one class on a spiral, far enough from one another to be novel."""
    turns = np.linspace(0, 20, count)
    return [(owner, label, float(turn), reach * (0.3 + 0.7 * turn / 20)) for turn in turns]


def crossing(bundle: Bundle) -> WrittenLog:
    """A log in which two accounts, one of a group, spend their budgets in several requests."""
    log = WrittenLog(bundle, budget=8)
    for cut in range(0, 40, 5):
        log.ask(PLAIN, spread(0, 1, 40)[cut : cut + 5] + spread(1, 2, 40)[cut : cut + 5])
    return log


def entries(log: WrittenLog) -> list[dict[str, Any]]:
    """The records as objects."""
    return [json.loads(line) for line in log.lines()]


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    """Records as a file."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def first_with(records: list[dict[str, Any]], verdict: str) -> tuple[int, int]:
    """Line and query of the first such verdict."""
    for line, record in enumerate(records):
        if verdict in record["verdict"]:
            return line, record["verdict"].index(verdict)
    raise AssertionError(verdict)


def relabelled(old: str, new: str) -> Callable[[list[dict[str, Any]]], tuple[int, int]]:
    """A verdict that was changed."""

    def change(records: list[dict[str, Any]]) -> tuple[int, int]:
        line, row = first_with(records, old)
        records[line]["verdict"][row] = new
        return line, row

    return change
