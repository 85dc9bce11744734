"""The full plan measures every setting for three seeds."""

from __future__ import annotations

from queen.redteam.plans.full import full_plan


def test_the_full_plan_has_three_seeds():
    """Every setting is measured for the seeds 0, 1 and 2."""
    cells = full_plan().cells()
    assert all(sum(cell.seed == seed for cell in cells) == len(cells) // 3 for seed in (0, 1, 2))
