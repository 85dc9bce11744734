"""Budgets and their thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from queen_sensitivity.ledgers.thresholds import Thresholds

from queen.errors import ConfigError, InvalidQuery
from queen.method.sensitivity import budget_thresholds
from tests.unit.sensitivity.regions import small_geometry

GEOMETRY = small_geometry()
MEAN = np.linspace(0.3, 0.6, GEOMETRY.num_classes)
THRESHOLDS = Thresholds(GEOMETRY, MEAN, 20)


def test_no_budget_is_the_default() -> None:
    """0 stands for the service's own budget, in the records and in the thresholds."""
    assert (THRESHOLDS.in_force(0), THRESHOLDS.in_force(7)) == (20, 7)
    assert np.array_equal(THRESHOLDS.table(0), THRESHOLDS.table(20))


@pytest.mark.parametrize("budgets", [[7, 7, 7], [0, 7, 30, 7]])
def test_ledgers_have_the_thresholds_of_their_owner_and_class(budgets: list[int]) -> None:
    """Whether the owners have one budget or several."""
    of_owners = THRESHOLDS.of_budgets(budgets)
    owner = np.repeat(np.arange(len(budgets)), GEOMETRY.num_classes)
    labels = np.tile(np.arange(GEOMETRY.num_classes), len(budgets))
    expected = np.concatenate([budget_thresholds(GEOMETRY, MEAN, b or 20) for b in budgets])
    assert np.array_equal(of_owners.of_ledgers(owner, labels), expected)
    some = np.array([2, 0])
    assert np.array_equal(
        of_owners.select(some).of_owner(0), budget_thresholds(GEOMETRY, MEAN, budgets[2] or 20)
    )


def test_a_budget_that_no_class_can_spend_is_refused() -> None:
    """At the start as a setting, later as a field of the request."""
    with pytest.raises(ConfigError, match="expected a budget of at most"):
        Thresholds(GEOMETRY, MEAN, 10**9)
    with pytest.raises(InvalidQuery, match="expected a budget of at most") as caught:
        THRESHOLDS.of_budgets([7, 10**9])
    assert caught.value.field == "accounts.budget"
