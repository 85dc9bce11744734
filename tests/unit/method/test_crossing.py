"""The crossing policy, apart from the ledgers that it is applied to."""

from __future__ import annotations

import numpy as np
import pytest

from queen.api.v1 import sensitivity_pb2 as pb
from queen.errors import ConfigError, InvalidQuery
from queen.method.crossing import (
    CAP_OFF,
    UNSTATED,
    CrossingPolicy,
    Thresholds,
    cap_text,
    needed_classes,
    policy_thresholds,
    published,
    read_cap,
)
from queen.method.sensitivity import budget_thresholds, largest_budget
from tests.unit.sensitivity.regions import small_geometry

GEOMETRY = small_geometry()
MEAN = np.linspace(0.3, 0.6, GEOMETRY.num_classes)
LARGEST = largest_budget(GEOMETRY, MEAN)
THRESHOLDS = Thresholds(GEOMETRY, MEAN, CrossingPolicy(20, 2, 3))


@pytest.mark.parametrize(
    ("breadth", "classes", "needed"),
    [
        *((1, 2, 1), (2, 2, 2), (5, 2, 2)),
        *((1, 10, 1), (4, 10, 4), (6, 10, 6), (7, 10, 6), (10, 10, 6)),
        *((1, 1000, 1), (6, 1000, 6), (600, 1000, 600), (601, 1000, 600), (2**32 - 1, 1000, 600)),
        *((3, 1, 1), (3, 3, 2), (9, 11, 7)),
    ],
)
def test_a_breadth_asks_for_at_most_three_fifths_of_the_classes(
    breadth: int, classes: int, needed: int
) -> None:
    """Of 2 classes both, of 10 at most 6, of 1,000 at most 600; a fraction is rounded up."""
    assert needed_classes(breadth, classes) == needed


def test_no_cap_fits_the_wire() -> None:
    """The number for no cap is the largest that its field holds."""
    assert pb.AccountPolicy(class_cap=CAP_OFF).class_cap == CAP_OFF
    with pytest.raises(ValueError, match="out of range"):
        pb.AccountPolicy(class_cap=CAP_OFF + 1)


@pytest.mark.parametrize(
    ("given", "class_cap"),
    [(1, 1), ("10", 10), (" off ", CAP_OFF), ("Off", CAP_OFF), (False, CAP_OFF)],
)
def test_a_class_cap_is_a_number_or_off(given: object, class_cap: int) -> None:
    """YAML reads a bare `off` as false."""
    assert read_cap(given) == class_cap
    assert read_cap(cap_text(class_cap)) == class_cap


@pytest.mark.parametrize("given", [0, -1, "", "no", 1.5, True, None, CAP_OFF, "٣"])
def test_anything_else_is_refused(given: object) -> None:
    """Among them the number of the wire, which no operator means, and digits of other scripts."""
    with pytest.raises(ConfigError, match="expected a class cap of 1 budget or more, or off"):
        read_cap(given)


def test_what_a_policy_does_not_state_is_the_services() -> None:
    """Budget, breadth and class cap, each for itself."""
    assert THRESHOLDS.in_force(UNSTATED) == CrossingPolicy(20, 2, 3)
    assert THRESHOLDS.in_force(CrossingPolicy(7)) == CrossingPolicy(7, 2, 3)
    assert THRESHOLDS.in_force(CrossingPolicy(0, 1, CAP_OFF)) == CrossingPolicy(20, 1, CAP_OFF)
    own = THRESHOLDS.of_policy()
    assert np.array_equal(own.thresholds, budget_thresholds(GEOMETRY, MEAN, 20))
    assert THRESHOLDS.of_policy(UNSTATED) is own


def test_a_class_cap_is_the_threshold_of_so_many_budgets() -> None:
    """Bit for bit; without a cap there is none."""
    capped = policy_thresholds(GEOMETRY, MEAN, CrossingPolicy(7, 9, 3))
    assert capped.caps is not None
    assert np.array_equal(capped.caps, budget_thresholds(GEOMETRY, MEAN, 21))
    assert capped.needed == 2
    assert policy_thresholds(GEOMETRY, MEAN, published(7)).caps is None
    assert policy_thresholds(GEOMETRY, MEAN, published(7)).needed == 1


def test_a_cap_that_an_account_takes_over_is_lowered_to_the_room_for_its_budget() -> None:
    """So is a cap of its own with the service's budget; both of its own are refused."""
    budget = LARGEST // 2
    assert THRESHOLDS.in_force(CrossingPolicy(budget)).class_cap == 2
    assert THRESHOLDS.in_force(CrossingPolicy(LARGEST)).class_cap == 1
    assert THRESHOLDS.of_policy(CrossingPolicy(LARGEST)).caps is not None
    assert THRESHOLDS.in_force(CrossingPolicy(0, 0, LARGEST)).class_cap == LARGEST // 20
    assert THRESHOLDS.of_policy(CrossingPolicy(0, 0, LARGEST)).caps is not None
    with pytest.raises(InvalidQuery, match="class cap of 1 to 2 budgets") as refusal:
        THRESHOLDS.of_policy(CrossingPolicy(budget, 0, 3))
    assert refusal.value.field == "accounts.class_cap"


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (CrossingPolicy(10**9, 1, CAP_OFF), "expected a budget of at most"),
        (CrossingPolicy(20, 0, CAP_OFF), "expected a breadth of at least 1 class, got 0"),
        (CrossingPolicy(20, 1, 10**6), f"1 to {LARGEST // 20} budgets of 20 records, or off"),
        (CrossingPolicy(20, 1, 0), "class cap of 1 to"),
    ],
)
def test_a_policy_that_no_class_can_reach_is_refused_at_the_start(
    policy: CrossingPolicy, words: str
) -> None:
    """A service with such a default does not start."""
    with pytest.raises(ConfigError, match=words):
        Thresholds(GEOMETRY, MEAN, policy)


def test_a_budget_that_no_class_can_spend_is_refused_in_a_request() -> None:
    """By its field, whatever the other policies of the batch are."""
    with pytest.raises(InvalidQuery, match="expected a budget of at most") as refusal:
        THRESHOLDS.of_owners([CrossingPolicy(7), CrossingPolicy(10**9)])
    assert refusal.value.field == "accounts.budget"


MANY = [UNSTATED, CrossingPolicy(7), CrossingPolicy(30, 1, CAP_OFF), CrossingPolicy(7)]


@pytest.mark.parametrize("policies", [MANY, MANY[1:2] * 3, MANY[2:3] * 2])
def test_ledgers_have_the_limits_of_their_owner_and_class(policies: list[CrossingPolicy]) -> None:
    """Whether the owners have one policy or several, and with a cap or without."""
    of_owners = THRESHOLDS.of_owners(policies)
    classes = GEOMETRY.num_classes
    owner, labels = np.repeat(np.arange(len(policies)), classes), np.tile(range(classes), 4)
    thresholds, caps = of_owners.of_ledgers(owner, labels[: len(owner)])
    known = [THRESHOLDS.of_policy(policy) for policy in policies]
    assert np.array_equal(thresholds, np.concatenate([table.thresholds for table in known]))
    never = np.full(classes, np.inf)
    if all(table.caps is None for table in known):
        assert caps is None
    else:
        expected = [never if table.caps is None else table.caps for table in known]
        assert caps is not None
        assert np.array_equal(caps, np.concatenate(expected))
    last = of_owners.select(np.array([len(policies) - 1, 0])).of_owner(0)
    assert last is known[-1]


def test_a_policy_of_many_is_computed_once_and_old_ones_leave() -> None:
    """The same policy has the same id; one that was forgotten gets another."""
    table = THRESHOLDS.of_policy(CrossingPolicy(5))
    assert THRESHOLDS.of_policy(CrossingPolicy(5)).policy_id == table.policy_id
    many = Thresholds(GEOMETRY, MEAN, published(20))
    first = many.of_policy(CrossingPolicy(1)).policy_id
    for breadth in range(1, 1030):
        many.of_policy(CrossingPolicy(2, breadth))
    assert many.of_policy(CrossingPolicy(1)).policy_id > first
    assert many.of_policy().policy_id == 0


def test_an_owner_lacks_the_classes_that_are_not_crossed() -> None:
    """None once enough are, or once one class is above its cap; at a threshold is not above it."""
    table = policy_thresholds(GEOMETRY, MEAN, CrossingPolicy(7, 2, 3))
    assert table.caps is not None
    none, at, caps = np.zeros(3), table.thresholds, table.caps
    above = np.nextafter(at, np.inf)
    one, two = np.where([True, False, False], above, none), np.where([True, False, True], above, at)
    full = np.where([False, True, False], np.nextafter(caps, np.inf), none)
    at_cap = np.where([False, True, False], caps, none)
    levels = np.stack([none, at, one, two, full, at_cap])
    assert table.lacking(levels).tolist() == [2, 2, 1, 0, 0, 1]
