"""Plans are lists of cells in order of worth, from which options choose."""

from __future__ import annotations

import pytest

from queen.errors import ConfigError
from queen.method.contracts import Profile
from queen.redteam.attacks import ATTACKS
from queen.redteam.defenses import DEFENSES
from queen.redteam.plans import PLANS
from queen.redteam.plans.cell import Cell
from queen.redteam.plans.full import full_plan
from queen.redteam.plans.plan import Part, Plan, baselines, ours
from queen.redteam.plans.selection import Selection
from queen.redteam.plans.smoke import smoke_plan

CELL = Cell("digits", "queen", "paper", 10, "knockoff", "in-distribution", 1, False, 100, 0)


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_says_what_it_leaves_out(name: str):
    """Every plan has cells, each once, and words for what is missing."""
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


def test_the_smoke_plan_meets_every_attack_and_baseline():
    """Whatever is in the registries is tried, and every profile but the one without defense."""
    cells = smoke_plan().cells()
    assert {cell.attack for cell in cells} == set(ATTACKS) - {"hurried"}
    assert {cell.defense for cell in cells} >= set(DEFENSES)
    profiles = {profile.value for profile in Profile if profile is not Profile.OBSERVE}
    assert {cell.profile for cell in cells} == {*profiles, None}


def test_the_full_plan_has_three_seeds():
    """Every setting is measured for the seeds 0, 1 and 2."""
    cells = full_plan().cells()
    assert all(sum(cell.seed == seed for cell in cells) == len(cells) // 3 for seed in (0, 1, 2))


@pytest.mark.parametrize(
    ("field", "value"),
    [("attack", "d-dae"), ("budget", 11), ("seed", 1), ("linked", True), ("pool", "mixup")],
)
def test_every_field_makes_another_cell(field: str, value: object):
    """A cell's name follows from all of it, the same in every run."""
    other = Cell(**{**vars(CELL), field: value})
    assert other.name != CELL.name
    assert Cell(**vars(CELL)).name == CELL.name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"attack": "charm"}, "attack: expected one of knockoff"),
        ({"defense": "hope"}, "defense: expected one of queen"),
        ({"dataset": "imagenet"}, "data set: expected one of digits"),
        ({"pool": "sea"}, "pool: expected one of in-distribution"),
        ({"profile": "loud"}, "profile: expected one of"),
        ({"budget": None}, "expected a profile and a budget"),
        ({"defense": "none"}, "expected a profile and a budget"),
        ({"queries": 0}, "at least 1"),
    ],
)
def test_a_cell_that_cannot_be_is_refused(change: dict[str, object], words: str):
    """The error says what was expected."""
    with pytest.raises(ConfigError, match=words):
        Cell(**{**vars(CELL), **change})


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
    """Queen is what is attacked where only its settings are named."""
    cells = Selection(profiles=("observe",), budgets=(7,)).apply(smoke_plan())
    assert [(cell.defense, cell.profile, cell.budget) for cell in cells] == [
        ("queen", "observe", 7)
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
