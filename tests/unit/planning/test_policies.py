"""The policies that are tried, and how strict each is."""

from __future__ import annotations

import pytest

from queen.bundle import Bundle
from queen.errors import ConfigError
from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.method.sensitivity import largest_budget
from queen.planning.policies import allowance, make_grid


def test_policies_that_do_not_differ_are_tried_once(bundle: Bundle) -> None:
    """Of four classes three are needed at the most, and the first comes before any cap."""
    grid = make_grid(bundle, [10], [1, 3, 5], [2, CAP_OFF])
    assert grid.policies == [
        CrossingPolicy(10, 1, CAP_OFF),
        CrossingPolicy(10, 3, 2),
        CrossingPolicy(10, 3, CAP_OFF),
    ]
    assert grid.without_room == 0


def test_the_strictest_policy_comes_first() -> None:
    """It is the one under which an owner may hold the fewest records before it is over."""
    assert allowance(CrossingPolicy(10, 1, CAP_OFF), classes=4, largest=100) == 40
    assert allowance(CrossingPolicy(10, 2, 3), classes=4, largest=100) == 30 + 30
    assert allowance(CrossingPolicy(10, 2, CAP_OFF), classes=4, largest=100) == 100 + 30
    assert allowance(CrossingPolicy(30, 1, CAP_OFF), classes=4, largest=100) == 120


def test_without_a_choice_the_usual_policies_are_tried(bundle: Bundle) -> None:
    """As far as the regions have room for their budgets and caps."""
    largest = largest_budget(bundle.geometry, bundle.mean_squared_sqs)
    grid = make_grid(bundle, [], [], [])
    assert {policy.budget for policy in grid.policies} == {50, 100}
    caps = [policy for policy in grid.policies if policy.class_cap != CAP_OFF]
    assert all(policy.budget * policy.class_cap <= largest for policy in caps)
    assert grid.without_room > 0


def test_what_no_region_has_room_for_is_refused(bundle: Bundle) -> None:
    """A budget above the largest, and caps of which none fits."""
    with pytest.raises(ConfigError, match=r"expected budgets of at most \d+ records"):
        make_grid(bundle, [10, 10**6], [], [])
    with pytest.raises(ConfigError, match=r"expected a class cap of at most \d+ budgets of 10 rec"):
        make_grid(bundle, [10, 20], [3], [10**4])
