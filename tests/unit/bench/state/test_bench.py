"""The bench of the ledgers measures what it says, on a small scale."""

from __future__ import annotations

from queen.bench.state.bench import StateOptions, count_steps, run_state_bench
from queen.bench.state.goals import GOALS
from queen.bench.state.search import count_cells


def test_every_measure_is_there() -> None:
    """Every goal has its figure at the top level, each engine its cell, each step its call."""
    options = StateOptions(accounts=6000, crowd=80, rounds=10, cached_accounts=1000)
    steps: list[None] = []
    figures = run_state_bench(options, lambda: steps.append(None))
    assert len(steps) == count_steps(options)
    # Memory that the process has to spare costs so few accounts no resident byte.
    assert all(figures[goal.key] > 0 for goal in GOALS if not goal.key.startswith("bytes_"))
    assert figures["accounts_known"] == 6000
    assert figures["accounts_cached"] == 1000
    assert len(figures["search"]) == 4 * count_cells()
    assert {"cells", "flat"} <= figures["search"][0].keys()
    assert {"bytes_per_empty_account", "bytes_per_account"} <= figures.keys()
