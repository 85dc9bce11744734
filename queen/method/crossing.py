"""The crossing policy: when an owner is over its budget.

A class is crossed once its cqs is above T. How many crossed classes put an owner over its
budget, and how far a single class may go before it does so alone, is the operator's choice.
Over follows from the records and the policy alone.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.errors import ConfigError, InvalidQuery
from queen.method.geometry import FloatArray, Geometry
from queen.method.sensitivity import budget_thresholds, largest_budget

BREADTH_SHARE = Fraction(3, 5)
"""Largest share of the classes that must be crossed before an owner is over, whatever its
breadth: a protectee of few classes is defended too."""
CAP_OFF = 2**32 - 1
"""Class cap of an owner that has none; the number of the wire and of the decision log."""
OFF = "off"
"""The word for `CAP_OFF`."""
_KEPT = 1024
"""Distinct policies whose thresholds are kept; more are computed again."""


def needed_classes(breadth: int, classes: int) -> int:
    """Classes that must be crossed before an owner is over: min(k, ceil(share * C)).

    Of 2 classes min(k, 2), of 10 min(k, 6), of 1,000 min(k, 600).
    """
    return min(breadth, math.ceil(BREADTH_SHARE * classes))


class CrossingPolicy(NamedTuple):
    """The choices that decide when an owner is over; 0 leaves one to the service.

    `budget` N is the records of a class before it is crossed, `breadth` k how many classes must
    be crossed, and `class_cap` c how many budgets of a single class put the owner over alone.
    """

    budget: int = 0
    breadth: int = 0
    class_cap: int = 0


UNSTATED = CrossingPolicy()
"""The policy that leaves every choice to the service."""
NO_LIMIT = CrossingPolicy(2**32, 1, CAP_OFF)
"""The policy of an owner that is never over; its budget is the least that the wire cannot carry."""


def published(budget: int) -> CrossingPolicy:
    """The policy of the paper: one crossed class puts its owner over."""
    return CrossingPolicy(budget, 1, CAP_OFF)


def read_cap(value: object) -> int:
    """A class cap from a setting: a whole number from 1 on, or `off`, which YAML reads as false.

    Raises ConfigError for anything else.
    """
    text = OFF if value is False else str(value).strip().lower()
    if text == OFF:
        return CAP_OFF
    if text.isascii() and text.isdigit() and 1 <= int(text) < CAP_OFF:
        return int(text)
    raise ConfigError(f"expected a class cap of 1 budget or more, or off, got {text[:20]}")


def cap_text(class_cap: int) -> str:
    """A class cap as an operator writes it."""
    return OFF if class_cap == CAP_OFF else str(class_cap)


class PolicyThresholds(NamedTuple):
    """The numbers that a policy comes to under a geometry."""

    policy_id: int
    """Tells the policy from the others those of a `Thresholds`."""
    thresholds: FloatArray
    """T, (C,)."""
    caps: FloatArray | None
    """Cqs of a class above which its owner is over, (C,): T of c * N records; None without."""
    needed: int
    """Crossed classes that put an owner over."""

    def lacking(self, cqs: FloatArray) -> NDArray[np.int64]:
        """Further classes whose crossing would put each of S owners over, 0 once it is over, (S,).

        `cqs` (S, C) are those of the owners' classes.
        """
        crossed = np.count_nonzero(cqs > self.thresholds, axis=1)
        lacking: NDArray[np.int64] = np.maximum(self.needed - crossed, 0)
        if self.caps is not None:
            lacking[(cqs > self.caps).any(axis=1)] = 0
        return lacking


def policy_thresholds(
    geometry: Geometry, mean_squared_sqs: FloatArray, policy: CrossingPolicy, policy_id: int = 0
) -> PolicyThresholds:
    """The thresholds of a policy in force.

    Raises ConfigError for a T that no class can reach: a class cap is refused like a budget.
    """
    thresholds = budget_thresholds(geometry, mean_squared_sqs, policy.budget)
    if policy.breadth < 1:
        raise ConfigError(f"expected a breadth of at least 1 class, got {policy.breadth}")
    return PolicyThresholds(
        policy_id,
        thresholds,
        cap_thresholds(geometry, mean_squared_sqs, policy),
        needed_classes(policy.breadth, geometry.num_classes),
    )


def cap_thresholds(
    geometry: Geometry, mean_squared_sqs: FloatArray, policy: CrossingPolicy
) -> FloatArray | None:
    """T of c * N records, (C,), or None without a cap; ConfigError for a T out of reach."""
    budget, _, class_cap = policy
    if class_cap == CAP_OFF:
        return None
    largest = largest_budget(geometry, mean_squared_sqs) // budget
    if not 1 <= class_cap <= largest:
        raise ConfigError(
            f"expected a class cap of 1 to {largest} budgets of {budget} records, or off, got "
            f"{class_cap}: the sensitive region is full before (coverage fraction "
            f"{geometry.coverage_fraction}); state a smaller class cap or budget"
        )
    return budget_thresholds(geometry, mean_squared_sqs, class_cap * budget)


class OwnerThresholds(NamedTuple):
    """The thresholds of O owners."""

    policy_ids: NDArray[np.int64]
    """Id of each owner's policy, (O,)."""
    tables: Mapping[int, PolicyThresholds]
    """The thresholds of every policy among them, by its id."""

    def of_owner(self, owner: int) -> PolicyThresholds:
        """The thresholds of an owner."""
        return self.tables[int(self.policy_ids[owner])]

    def of_ledgers(
        self, owner: NDArray[np.integer], labels: NDArray[np.integer]
    ) -> tuple[FloatArray, FloatArray | None]:
        """T and caps (L,) of ledgers, by their owner and class, (L,) each; None without caps."""
        if len(self.tables) == 1:
            (table,) = self.tables.values()
            return table.thresholds[labels], None if table.caps is None else table.caps[labels]
        distinct = sorted(self.tables)
        rows = np.searchsorted(np.array(distinct), self.policy_ids)[owner]
        tables = [self.tables[policy_id] for policy_id in distinct]
        thresholds = np.stack([table.thresholds for table in tables])[rows, labels]
        if all(table.caps is None for table in tables):
            return thresholds, None
        never = np.full_like(tables[0].thresholds, np.inf)
        caps = np.stack([never if table.caps is None else table.caps for table in tables])
        return thresholds, caps[rows, labels]

    def select(self, owners: NDArray[np.integer]) -> OwnerThresholds:
        """The thresholds of some of the owners, by their index (S,)."""
        return OwnerThresholds(self.policy_ids[owners], self.tables)


class Thresholds:
    """The thresholds of each policy in use, computed once.

    `default` is used where a policy states none. Raises ConfigError if its budget or its class
    cap is above the packing limit: no account could ever reach it.
    """

    def __init__(
        self, geometry: Geometry, mean_squared_sqs: FloatArray, default: CrossingPolicy
    ) -> None:
        self.default = default
        self._geometry = geometry
        self._mean_squared_sqs = mean_squared_sqs
        self._largest = largest_budget(geometry, mean_squared_sqs)
        self._own = policy_thresholds(geometry, mean_squared_sqs, default)
        self._tables: OrderedDict[CrossingPolicy, PolicyThresholds] = OrderedDict()
        self._made = 0

    def in_force(self, policy: CrossingPolicy) -> CrossingPolicy:
        """The policy with the service's choices in place of 0.

        A class cap for which the budget leaves no room is lowered where one of both is the
        service's: whoever stated the other cannot know it, and an owner without thresholds would
        make every micro-batch fail that holds a query of it.
        """
        budget = policy.budget or self.default.budget
        breadth = policy.breadth or self.default.breadth
        class_cap = policy.class_cap or self.default.class_cap
        if not (policy.class_cap and policy.budget) and class_cap != CAP_OFF:
            class_cap = max(1, min(class_cap, self._largest // budget))
        return CrossingPolicy(budget, breadth, class_cap)

    def of_policy(self, policy: CrossingPolicy = UNSTATED) -> PolicyThresholds:
        """The thresholds of a policy; InvalidQuery for one above the packing limit."""
        if not any(policy):
            return self._own
        known = self._tables.get(policy)
        if known is None:
            self._made += 1
            known = self._tables[policy] = self._compute(policy, self._made)
            if len(self._tables) > _KEPT:
                self._tables.popitem(last=False)
        return known

    def of_owners(self, policies: Sequence[CrossingPolicy]) -> OwnerThresholds:
        """The thresholds of owners with these policies, (O,); errors as in `of_policy`."""
        if policies.count(policies[0]) == len(policies):
            # Most batches have one policy; this is several times faster than the list for many
            # owners.
            table = self.of_policy(policies[0])
            same = np.empty(len(policies), np.int64)
            same.fill(table.policy_id)
            return OwnerThresholds(same, {table.policy_id: table})
        tables = [self.of_policy(policy) for policy in policies]
        policy_ids = np.array([table.policy_id for table in tables], np.int64)
        return OwnerThresholds(policy_ids, {table.policy_id: table for table in tables})

    def _compute(self, policy: CrossingPolicy, policy_id: int) -> PolicyThresholds:
        if policy == NO_LIMIT:
            return PolicyThresholds(policy_id, np.full(self._geometry.num_classes, np.inf), None, 1)
        in_force = self.in_force(policy)
        try:
            return policy_thresholds(self._geometry, self._mean_squared_sqs, in_force, policy_id)
        except ConfigError as error:
            field = "budget" if in_force.budget > self._largest else "class_cap"
            raise InvalidQuery(f"accounts: {error}", field=f"accounts.{field}") from error
