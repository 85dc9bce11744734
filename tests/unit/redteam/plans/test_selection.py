"""Options select cells of a plan, or combine cells of their own."""

from __future__ import annotations

import pytest

from queen.errors import ConfigError
from queen.method.crossing import CAP_OFF
from queen.redteam.plans.selection import Selection
from queen.redteam.plans.smoke import smoke_plan


def test_options_choose_cells_of_the_plan():
    """Named values pick the cells that have them, and nothing else changes."""
    plan = smoke_plan()
    picked = Selection(attacks=("knockoff",), pools=("mixup",)).apply(plan)
    assert picked
    assert set(picked) <= set(plan.cells())
    assert {(cell.attack, cell.pool) for cell in picked} == {("knockoff", "mixup")}


def test_what_no_cell_has_is_combined():
    """An attack on a defense that the plan does not have is run all the same."""
    choice = Selection(attacks=("d-dae", "s4l"), defenses=("grad2",), seeds=(4,), queries=50)
    cells = choice.apply(smoke_plan())
    assert [(cell.attack, cell.defense) for cell in cells] == [("d-dae", "grad2"), ("s4l", "grad2")]
    assert {(cell.seed, cell.queries, cell.dataset) for cell in cells} == {(4, 50, "digits")}


def test_a_profile_and_budget_of_ones_own():
    """Queen is attacked where only its settings are named."""
    cells = Selection(profiles=("observe",), budgets=(7,)).apply(smoke_plan())
    assert [(cell.defense, cell.profile, cell.budget) for cell in cells] == [
        ("queen", "observe", 7)
    ]


def test_breadths_and_class_caps_are_combined():
    """Each of one with each of the other."""
    choice = Selection(profiles=("strict",), budgets=(7,), breadths=(1, 5), class_caps=(3, CAP_OFF))
    cells = choice.apply(smoke_plan())
    assert [(cell.breadth, cell.class_cap) for cell in cells] == [
        *((1, 3), (1, CAP_OFF)),
        *((5, 3), (5, CAP_OFF)),
    ]


def test_data_seeds_and_queries_replace_the_plans():
    """They change every cell of the plan instead of picking some."""
    cells = Selection(dataset="mnist", seeds=(1, 2), queries=30).apply(smoke_plan())
    assert {(cell.dataset, cell.queries) for cell in cells} == {("mnist", 30)}
    assert {cell.seed for cell in cells} == {1, 2}


def test_an_unknown_name_is_refused():
    """A typing mistake is not an empty run."""
    with pytest.raises(ConfigError, match="attack: expected one of knockoff"):
        Selection(attacks=("knockof",)).apply(smoke_plan())
