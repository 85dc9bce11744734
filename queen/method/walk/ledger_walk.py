"""The ledger step over many simulated accounts at once, query by query.

The engine of the sensitivity service decides the same, bit by bit; it serves accounts in
micro-batches, while this walk simulates a thousand accounts of ten thousand queries in seconds.

Shapes: A accounts, Q queries of each, N samples, C classes, L levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.method.crossing import PolicyThresholds
from queen.method.enforcement import Scope
from queen.method.geometry import FloatArray
from queen.method.meter.off_distribution import (
    AccountMeter,
    OffDistributionMeter,
    room_left,
    tail_cells,
)
from queen.method.walk.sent_samples import Claims, Positions, SentSamples

NEVER = np.iinfo(np.int64).max
"""The position of an event that does not happen."""
_COVER_BYTES = 2**26
"""Memory for the marks of covered samples: accounts that need more are walked in parts."""
_STRETCH = 256
"""Queries that are looked at together: those that can change nothing are passed over."""

Orders = NDArray[np.int64]
"""Rows of the samples in the order of each account, (A, Q)."""


@dataclass(frozen=True, eq=False)
class Standings:
    """When the classes of A accounts passed L levels, if all go on recording.

    `passed` (L, A, C) is the position of the query that takes the cqs of a class above its level,
    `recorded` (A, Q) says of each query that it is sensitive, and no earlier record covers it.
    """

    passed: Positions
    recorded: Claims

    def over(self, breadth: int, level: int = 0, cap: int | None = None) -> Positions:
        """The query that makes each account over its budget, (A,).

        That is the query with which `breadth` classes are above the level of that number, or with
        which any class is above the level `cap`.
        """
        crossed = np.sort(self.passed[level], axis=1)
        count = crossed.shape[1]
        by_breadth = crossed[:, breadth - 1] if breadth <= count else np.full(len(crossed), NEVER)
        if cap is None:
            return by_breadth
        first: Positions = np.minimum(by_breadth, self.passed[cap].min(axis=1))
        return first


@dataclass(frozen=True, eq=False)
class Enforced:
    """The queries of A accounts that a policy reverses or refuses, (A, Q).

    `over` (A,) is the position of the query that makes each account over its budget.
    """

    is_reversed: Claims
    over: Positions


class LedgerWalk:
    """The ledger step over simulated accounts, which send some of N `samples` in their orders."""

    def __init__(self, samples: SentSamples) -> None:
        self.samples = samples

    def standings(self, orders: Orders, levels: FloatArray) -> Standings:
        """Walk over `orders` (A, Q), with no account ever over; `levels` (L, C) of cqs."""
        passed = np.full((len(levels), len(orders), self.samples.geometry.num_classes), NEVER)
        recorded = np.empty(orders.shape, np.bool_)
        for part in self._parts(len(orders)):
            accounts = _Accounts(self.samples, orders[part], levels).walk()
            recorded[part], passed[:, part] = accounts.recorded, accounts.passed
        return Standings(passed, recorded)

    def over(self, orders: Orders, policy: PolicyThresholds) -> Positions:
        """The query that makes each account of `orders` (A, Q) over its budget, (A,)."""
        cap = None if policy.caps is None else 1
        return self.standings(orders, _levels(policy)).over(policy.needed, cap=cap)

    def within(self, order: Orders, level: float) -> int:
        """The queries of `order` (Q,), of one class, before cqs passes `level`."""
        samples, cqs = self.samples, 0.0
        covered = np.zeros(len(samples.labels), np.bool_)
        for position, row in enumerate(order.tolist()):
            if covered[row] or not samples.sensitive[row]:
                continue
            cqs += float(samples.weights[row])
            if cqs > level:
                return position
            covered[samples.covered.of(row)] = True
        return len(order)

    def enforced(
        self,
        orders: Orders,
        policy: PolicyThresholds,
        scope: Scope,
        flagged: Positions | None = None,
    ) -> Enforced:
        """Walk over `orders` (A, Q) under a crossing policy and a scope.

        `flagged` (A,) are the queries with which accounts become off-distribution, by `flagged`;
        without them no meter reverses a query.
        """
        off = np.full(len(orders), NEVER) if flagged is None else flagged
        parts = [
            _Accounts(
                self.samples, orders[part], _levels(policy), _Rule(policy.needed, scope, off[part])
            ).walk()
            for part in self._parts(len(orders))
        ]
        return Enforced(
            np.concatenate([accounts.is_reversed for accounts in parts]),
            np.concatenate([accounts.over for accounts in parts]),
        )

    def flagged(
        self, orders: Orders, meter: OffDistributionMeter, policy: PolicyThresholds
    ) -> Positions:
        """The query with which each account of `orders` (A, Q) becomes off-distribution, (A,).

        The queries of an account that is over its budget under `policy` move no meter.
        """
        standings = self.standings(orders, _levels(policy))
        over = standings.over(policy.needed, cap=None if policy.caps is None else 1)
        flagged = np.full(len(orders), NEVER)
        for account, order in enumerate(orders):
            steps = self._meter_steps(order, standings.recorded[account], meter)
            steps[np.arange(len(order)) > over[account]] = 0.0
            # A cell that is asked about again does not count, so that no level is above this one.
            total = np.cumsum(steps)
            highest = (total - np.minimum(np.minimum.accumulate(total), 0.0)).max(initial=0.0)
            if highest >= meter.limit:
                flagged[account] = self._flag(order, steps, meter)
        return flagged

    def _meter_steps(
        self, order: Orders, recorded: Claims, meter: OffDistributionMeter
    ) -> FloatArray:
        """How each query of `order` (Q,) moves the meter, (Q,), if `recorded` (Q,) are."""
        samples, labels = self.samples, self.samples.labels[order]
        gained = np.where(recorded, samples.weights[order], 0.0)
        before = np.empty(len(order))
        for label in np.unique(labels).tolist():
            own = np.flatnonzero(labels == label)
            before[own] = np.cumsum(gained[own]) - gained[own]
        distances = samples.distances[order]
        is_lower = recorded & (distances < samples.geometry.sensitive_radius[labels])
        room = room_left(samples.geometry, before)
        return meter.steps(meter.is_far(distances, labels), is_lower, room)

    def _flag(self, order: Orders, steps: FloatArray, meter: OffDistributionMeter) -> int:
        """The query of `order` (Q,) with which the account becomes off-distribution, or NEVER."""
        rising = np.flatnonzero(steps > 0)
        samples, rows = self.samples, order[rising]
        cells = tail_cells(samples.geometry, samples.embeddings[rows], samples.labels[rows])
        walk = AccountMeter(samples.embeddings.shape[1]).walk(
            meter, 0.0, range(len(order)), steps.tolist(), dict(zip(rising, cells, strict=True))
        )
        return walk.off_from - 1 if walk.off_from < len(order) else NEVER

    def _parts(self, accounts: int) -> Iterator[slice]:
        size = max(1, _COVER_BYTES // max(len(self.samples.labels), 1))
        for first in range(0, accounts, size):
            yield slice(first, min(first + size, accounts))


def _levels(policy: PolicyThresholds) -> FloatArray:
    """T, and the caps if there are any, as levels, (1, C) or (2, C)."""
    levels = [policy.thresholds] if policy.caps is None else [policy.thresholds, policy.caps]
    return np.stack(levels)


class _Rule(NamedTuple):
    """The crossed classes that put an account over, and the scope of the reversal."""

    needed: int
    scope: Scope
    flagged: Positions


class _Accounts:
    """A accounts on their way: the samples that their records cover, and their cqs.

    Arrays by query are (Q, A) while the walk lasts: it goes from query to query.
    """

    def __init__(
        self,
        samples: SentSamples,
        orders: Orders,
        levels: FloatArray,
        rule: _Rule | None = None,
    ) -> None:
        accounts, queries = orders.shape
        self._samples = samples
        self._orders = np.ascontiguousarray(orders.T)
        self._levels = levels
        self._rule = rule
        self._each = np.arange(accounts)
        self._covered = np.zeros((accounts, len(samples.labels)), np.bool_)
        is_bound = rule is not None and rule.scope is Scope.REPEATED
        self._repeating = np.zeros_like(self._covered) if is_bound else None
        self._cqs = np.zeros((accounts, levels.shape[1]))
        self._is_crossed = np.zeros((accounts, levels.shape[1]), np.bool_)
        self._recorded = np.zeros((queries, accounts), np.bool_)
        self._reversed = np.zeros((queries, accounts), np.bool_)
        self.passed = np.full((len(levels), accounts, levels.shape[1]), NEVER)
        self.over = np.full(accounts, NEVER)

    @property
    def recorded(self) -> Claims:
        """Whether each query is recorded, (A, Q)."""
        return self._recorded.T

    @property
    def is_reversed(self) -> Claims:
        """Whether the policy reverses or refuses each query, (A, Q)."""
        return self._reversed.T

    def walk(self) -> _Accounts:
        """Walk over all queries."""
        for first in range(0, len(self._orders), _STRETCH):
            stretch = self._orders[first : first + _STRETCH]
            # What is covered stays so: without a rule, the other queries change nothing.
            is_needed = self._novel(stretch).any(axis=1) | (self._rule is not None)
            for position in (first + np.flatnonzero(is_needed)).tolist():
                self._decide(position, self._orders[position])
        return self

    def _novel(self, rows: Positions) -> Claims:
        """Whether queries of all accounts, (..., A), are sensitive and not covered yet."""
        return ~self._covered[self._each, rows] & self._samples.sensitive[rows]

    def _decide(self, position: int, rows: Positions) -> None:
        """Record or reverse a query of each account, (A,)."""
        recorded = self._novel(rows)
        if self._rule is not None:
            self._reverse(self._rule, position, rows, recorded)
        self._recorded[position] = recorded
        accounts = np.flatnonzero(recorded)
        if len(accounts):
            self._record(position, accounts, rows[accounts])

    def _reverse(self, rule: _Rule, position: int, rows: Positions, recorded: Claims) -> None:
        """Reverse a query of each account by the rule; `recorded` (A,) loses what is not kept."""
        is_over, is_off = self.over < position, rule.flagged < position
        if not (is_over | is_off).any():
            return
        if self._repeating is not None:
            self._reversed[position] = is_off | is_over & ~self._repeating[self._each, rows]
            recorded &= ~(is_over | is_off)
            return
        crossed = is_over & self._is_crossed[self._each, self._samples.labels[rows]]
        self._reversed[position] = {
            Scope.QUERY: crossed & recorded,
            Scope.CLASS: crossed,
            Scope.ACCOUNT: is_over | is_off,
        }[rule.scope]
        recorded &= ~crossed

    def _record(self, position: int, accounts: Positions, rows: Positions) -> None:
        """Record a query each of some accounts: (a,) of each."""
        samples = self._samples
        labels = samples.labels[rows]
        before = self._cqs[accounts, labels]
        after = self._cqs[accounts, labels] = before + samples.weights[rows]
        levels = self._levels[:, labels]
        level, which = np.nonzero((before <= levels) & (after > levels))
        if len(level):
            self.passed[level, accounts[which], labels[which]] = position
            self._cross(position, accounts[which[level == 0]], labels[which[level == 0]])
            self._exceed(position, accounts[which[level == 1]])
        samples.covered.mark(self._covered, accounts, rows)
        if self._repeating is not None:
            samples.repeating.mark(self._repeating, accounts, rows)

    def _cross(self, position: int, accounts: Positions, labels: Positions) -> None:
        """Note that a class of each of some accounts is crossed."""
        self._is_crossed[accounts, labels] = True
        if self._rule is not None:
            counts = self._is_crossed[accounts].sum(axis=1)
            self._exceed(position, accounts[counts >= self._rule.needed])

    def _exceed(self, position: int, accounts: Positions) -> None:
        self.over[accounts] = np.minimum(self.over[accounts], position)


def first_true(claims: Claims) -> Positions:
    """The position of the first true claim of each row (A, Q), (A,)."""
    return np.where(claims.any(axis=1), claims.argmax(axis=1), NEVER)
