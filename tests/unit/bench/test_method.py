"""The bench measures what it says."""

from __future__ import annotations

from queen.bench.method import goal_met, run_method_bench


def test_every_kernel_is_measured():
    """Each kernel has a cost between its extremes, and closed forms beat what they replace."""
    rows = {row["name"]: row for row in run_method_bench(repeats=3)}
    assert {"gradient reverse, C = 10", "ledger step, 10,000 records"} <= set(rows)
    assert all(row["fastest"] <= row["microseconds"] <= row["slowest"] for row in rows.values())
    # Not a timed assertion: four orders of magnitude separate a solver from a projection.
    assert rows["gradient reverse, C = 10"]["speedup"] > 10
    assert goal_met({"goal": 2.0, "microseconds": 3.0}) is False
    assert goal_met({"goal": None, "microseconds": 3.0}) is None
