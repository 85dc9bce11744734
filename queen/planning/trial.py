"""Policies tried on the accounts of a log.

An owner that is not over its budget yet records what it would have recorded without any limit. So
the observed ledgers tell exactly when its classes are crossed and when it is over, under every
policy. (Under `Scope.REPEATED` an owner may be over later: what its accounts ask once they are
off-distribution, or over without it, is not charged.) Shapes as in `queen.planning.traffic`. A
position in 0..N is the first query that finds something so, N if only the next query would have;
NEVER stands for none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queen.bundle import Bundle
from queen.method.crossing import CAP_OFF, CrossingPolicy, needed_classes
from queen.method.enforcement import Scope
from queen.method.geometry import FloatArray
from queen.method.meter.off_distribution import after, room_left
from queen.method.sensitivity import budget_thresholds
from queen.planning.traffic import BoolArray, Charged, IntArray, ObservedTraffic

NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Standing:
    """When the ledgers and owners of `charged` would have crossed under a policy."""

    charged: Charged
    crossed: IntArray
    """Position from which each ledger is crossed, (L,)."""
    over: IntArray
    """Position from which each life is over, (V,)."""
    off: IntArray
    """Position from which each life is off-distribution, (V,)."""

    @property
    def is_over(self) -> BoolArray:
        """Whether each query found its owner over, (R,)."""
        return self.charged.rows >= self.over[self.charged.life]

    @property
    def is_off(self) -> BoolArray:
        """Whether each query found its owner off-distribution, (R,)."""
        return self.charged.rows >= self.off[self.charged.life]

    @property
    def is_crossed(self) -> BoolArray:
        """Whether each query found its class crossed, (R,)."""
        return self.charged.rows >= self.crossed[self.charged.ledgers.of_row]


@dataclass(frozen=True, eq=False)
class Outcome:
    """Crossings and reversals as a policy would have made them."""

    policy: CrossingPolicy
    own: Standing
    grouped: Standing
    over: IntArray
    """Position from which each account is over, by its own budget or its group's, (A,)."""
    reversed_rows: dict[Scope, BoolArray]
    """Whether each query would have been reversed under each scope, (N,)."""


class PolicyTrial:
    """Tries policies on the traffic of a log."""

    def __init__(self, traffic: ObservedTraffic, bundle: Bundle, num_accounts: int) -> None:
        self._traffic = traffic
        self._bundle = bundle
        self._num_accounts = num_accounts
        self._known: dict[tuple[bool, int], IntArray] = {}

    def outcome(self, policy: CrossingPolicy, scopes: list[Scope]) -> Outcome:
        """The outcome of `policy`; ConfigError for a budget without room."""
        own = self._standing(policy, None)
        grouped = self._standing(policy, own)
        rows = {scope: self._reversed(scope, own, grouped) for scope in scopes}
        return Outcome(policy, own, grouped, self._over(own, grouped), rows)

    def _standing(self, policy: CrossingPolicy, members: Standing | None) -> Standing:
        """The standing of groups, given that of their `members`, or of accounts without that."""
        is_grouped = members is not None
        charged = self._traffic.grouped if is_grouped else self._traffic.own
        crossed = self._passed(policy.budget, is_grouped=is_grouped)
        needed = needed_classes(policy.breadth, self._bundle.manifest.num_classes)
        over = np.full(len(charged.owners), NEVER)
        life = charged.ledgers.life
        order = np.lexsort((crossed, life))
        # How many ledgers of the same life are crossed before each, in the order of crossing.
        earlier = np.arange(len(order)) - np.searchsorted(life, life[order])
        last_needed = order[earlier == needed - 1]
        over[life[last_needed]] = crossed[last_needed]
        if policy.class_cap != CAP_OFF:
            capped = self._passed(policy.class_cap * policy.budget, is_grouped=is_grouped)
            np.minimum.at(over, life, capped)
        return Standing(charged, crossed, over, self._off(charged, over, members))

    def _off(self, charged: Charged, over: IntArray, members: Standing | None) -> IntArray:
        """Position from which each life is off-distribution, (V,), if it is `over` (V,) from then.

        The queries of an owner that is over move no meter, and those of an account that is
        off-distribution no group's.
        """
        meter, geometry = self._bundle.meter, self._bundle.geometry
        is_lower = charged.is_novel & self._traffic.is_inside[charged.rows]
        steps = meter.steps(charged.is_far, is_lower, room_left(geometry, charged.before))
        steps[charged.rows >= over[charged.life]] = 0.0
        if members is not None:
            is_off = np.zeros(len(self._traffic), np.bool_)
            is_off[members.charged.rows] = members.is_off
            steps[is_off[charged.rows]] = 0.0
            meter = meter.of_groups
        return first_off(charged, steps, meter.limit)

    def _passed(self, budget: int, *, is_grouped: bool) -> IntArray:
        """Position from which each ledger is above the threshold of a budget, (L,)."""
        key = is_grouped, budget
        if key not in self._known:
            charged = self._traffic.grouped if is_grouped else self._traffic.own
            table = budget_thresholds(self._bundle.geometry, self._bundle.mean_squared_sqs, budget)
            self._known[key] = first_above(charged, table)
        return self._known[key]

    def _over(self, own: Standing, grouped: Standing) -> IntArray:
        """Position from which each account is over, (A,)."""
        over = np.full(self._num_accounts, NEVER)
        np.minimum.at(over, own.charged.owners, own.over)
        # A member is over with its group, or from its first query on if it came later.
        members = self._traffic.accounts[grouped.charged.rows]
        pairs = members * len(grouped.over) + grouped.charged.life
        _, first = np.unique(pairs, return_index=True)
        over_with_group = grouped.over[grouped.charged.life[first]]
        is_late = over_with_group < grouped.charged.rows[first]
        position = np.where(is_late, grouped.charged.rows[first], over_with_group)
        np.minimum.at(over, members[first], position)
        return over

    def _reversed(self, scope: Scope, own: Standing, grouped: Standing) -> BoolArray:
        """Whether each query would have been reversed, or refused, (N,)."""
        rows = np.zeros(len(self._traffic), np.bool_)
        if scope is Scope.REPEATED:
            return self._refused(own, grouped) & ~self._traffic.is_exempt
        for standing in (own, grouped):
            is_hit = standing.is_over
            if scope is Scope.QUERY:
                is_hit &= standing.charged.is_novel & standing.is_crossed
            elif scope is Scope.CLASS:
                is_hit &= standing.is_crossed
            elif scope is Scope.ACCOUNT:
                is_hit |= standing.is_off
            rows[standing.charged.rows] |= is_hit
        return rows & ~self._traffic.is_exempt

    def _refused(self, own: Standing, grouped: Standing) -> BoolArray:
        """Whether each query could have been refused, (N,).

        Which queries repeat a record of their account is not known, so that every request with a
        query that finds an owner over or off-distribution counts as refused, and all behind it.
        """
        traffic, queries = self._traffic, own.charged
        is_spent = np.zeros(len(traffic), np.bool_)
        for standing in (own, grouped):
            is_spent[standing.charged.rows] |= standing.is_over | standing.is_off
        hits = np.flatnonzero(is_spent)
        first = np.full(len(queries.owners), NEVER)
        np.minimum.at(first, queries.life[hits], traffic.starts[hits])
        refused: BoolArray = queries.rows >= first[queries.life]
        return refused


def first_off(charged: Charged, steps: FloatArray, limit: float) -> IntArray:
    """Position from which the meter of each life is at its limit, (V,), by its `steps` (R,)."""
    off = np.full(len(charged.owners), NEVER)
    rises = np.bincount(charged.life, np.maximum(steps, 0.0), minlength=len(off))
    # Few lives rise enough to reach the limit at all.
    moved = np.flatnonzero((steps != 0) & (rises >= limit)[charged.life])
    levels = dict.fromkeys(np.unique(charged.life[moved]).tolist(), 0.0)
    for row, life in zip(moved.tolist(), charged.life[moved].tolist(), strict=True):
        if levels[life] < limit:
            levels[life] = after(levels[life], float(steps[row]))
            if levels[life] >= limit:
                off[life] = charged.rows[row] + 1
    return off


def first_above(charged: Charged, limits: FloatArray) -> IntArray:
    """Position from which each ledger is above its class's limit (C,), (L,).

    The query that lifts the ledger is answered before; after a gap, a query may find it above.
    """
    limit = limits[charged.labels]
    hits = np.flatnonzero(charged.after > limit)
    position = charged.rows[hits] + (charged.before[hits] <= limit[hits])
    first: NDArray[np.int64] = np.full(len(charged.ledgers.life), NEVER)
    np.minimum.at(first, charged.ledgers.of_row[hits], position)
    return first
