"""A cell is named by all of its fields, and refuses names that are unknown."""

from __future__ import annotations

import pytest

from queen import defaults
from queen.errors import ConfigError
from queen.method.crossing import CAP_OFF
from queen.redteam.plans.cell import Cell

CELL = Cell(
    *("digits", "queen", "paper", 10, "knockoff", "in-distribution", 1, False, 100, 0),
    breadth=1,
    class_cap=CAP_OFF,
)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("attack", "d-dae"), ("budget", 11), ("breadth", 4), ("class_cap", 3)),
        *(("seed", 1), ("linked", True), ("pool", "mixup")),
    ],
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


def test_the_title_is_the_cell_in_words() -> None:
    """Accounts are named where there are several; a baseline has neither profile nor budget."""
    assert CELL.title == "knockoff on paper n10, seed 0"
    many = Cell(**{**vars(CELL), "accounts": 3, "linked": True})
    assert many.title == "knockoff x3 linked on paper n10, seed 0"
    broad = Cell(**{**vars(CELL), "breadth": 5, "class_cap": CAP_OFF})
    assert broad.title == "knockoff on paper n10 b5, seed 0"
    capped = Cell(**{**vars(CELL), "breadth": 5, "class_cap": 3})
    assert capped.title == "knockoff on paper n10 b5 c3, seed 0"
    baseline = Cell(**{**vars(CELL), "defense": "none", "profile": None, "budget": None})
    assert baseline.title == "knockoff on none, seed 0"


def test_a_policy_that_is_not_stated_is_the_default() -> None:
    """Of Queen; a baseline has none, whatever is stated."""
    stated = vars(CELL) | {"breadth": None, "class_cap": None}
    cell = Cell(**stated)
    assert (cell.breadth, cell.class_cap) == (defaults.BREADTH, defaults.CLASS_CAP)
    baseline = Cell(**(vars(CELL) | {"defense": "none", "profile": None, "budget": None}))
    assert (baseline.breadth, baseline.class_cap) == (None, None)
