"""The table of `queen bench method`."""

from __future__ import annotations

from queen.cli.bench.method import method_table
from tests.unit.cli.tables import shown


def test_a_kernel_says_whether_it_meets_its_goal() -> None:
    """A kernel without a goal or a reference leaves the cells empty."""
    times = {"microseconds": 1.5, "fastest": 1.25, "slowest": 2.0}
    fast = {"name": "closed", **times, "goal": 2.0, "reference": "a loop", "speedup": 1500.0}
    plain = {"name": "plain", **times, "goal": None, "reference": None, "speedup": None}
    table = method_table([(fast, True), ({**fast, "goal": 1}, False), (plain, None)])
    assert shown(table)[1:] == [
        ["closed", "1.50", "1.25 - 2.00", "< 2 met", "a loop", "1,500"],
        ["closed", "1.50", "1.25 - 2.00", "< 1 MISSED", "a loop", "1,500"],
        ["plain", "1.50", "1.25 - 2.00", "", "", ""],
    ]
