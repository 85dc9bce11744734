"""The bench measures what it says."""

from __future__ import annotations

from queen.bench.method import goal_met, run_method_bench


def test_every_kernel_is_measured():
    """Every kernel has a cost between its extremes, beside that of the way it replaces."""
    rows = {row["name"]: row for row in run_method_bench(repeats=3)}
    assert {"gradient reverse, C = 10", "ledger step, 10,000 records"} <= set(rows)
    assert {"safe answer, C = 10", "decoy answer with its sketch, C = 10"} <= set(rows)
    assert all(row["fastest"] <= row["microseconds"] <= row["slowest"] for row in rows.values())
    references = {row["reference"] for row in rows.values() if row["speedup"]}
    assert references == {"SLSQP solver", "step loop", "brute force alone"}
    assert goal_met({"goal": 2.0, "microseconds": 3.0}) is False
    assert goal_met({"goal": None, "microseconds": 3.0}) is None
