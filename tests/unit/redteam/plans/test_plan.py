"""Plans are lists of cells in order of worth."""

from __future__ import annotations

import pytest

from queen.redteam.plans import PLANS
from queen.redteam.plans.plan import Part, Plan, attacks_without, baselines, ours


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_says_what_it_leaves_out(name: str):
    """Every plan has cells, none of them twice, and words for the missing parts."""
    plan = PLANS[name]()
    names = [cell.name for cell in plan.cells()]
    assert names
    assert len(set(names)) == len(names)
    assert plan.left_out


def test_all_seeds_of_a_part_come_before_the_next_part():
    """Time that runs out costs parts, not seeds."""
    seeds = (0, 1, 2)
    parts = (Part("a", ["knockoff"], baselines("none")), Part("b", ["knockoff"], ours(100)))
    plan = Plan("p", "digits", 100, 10, seeds, parts)
    assert [cell.seed for cell in plan.cells()[:3]] == [0, 1, 2]
    assert {cell.defense for cell in plan.cells()[:3]} == {"none"}


def test_a_cell_of_two_parts_is_measured_once() -> None:
    """In the place of the first part."""
    part = Part("a", ["knockoff"], baselines("none"))
    plan = Plan("p", "digits", 100, 10, (0,), (part, part))
    assert len(plan.cells()) == 1


def test_attacks_that_need_an_endpoint_are_in_no_plan() -> None:
    """Nor those that are named."""
    names = attacks_without("knockoff")
    assert "hurried" not in names
    assert "knockoff" not in names
    assert "label-only" in names
