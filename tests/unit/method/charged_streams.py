"""Streams of queries that are charged to accounts and groups, and two ways to enforce them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from queen.method.enforcement import Cause, Charges, Scope, Standing, enforce
from queen.method.ledger import Assessment, LedgerLevels, LedgerRows, Owners, Verdict, assess_rows
from queen.method.neighbors import nearest_distances
from queen.method.sensitivity import cumulative_query_sensitivity
from tests.unit.method.streams import GEOMETRY, Row, embeddings

ACCOUNTS, GROUPS, CLASSES = 3, 2, 2
Key = tuple[int, int]
"""Owner and class; accounts are owners 0 to 2, groups 3 and 4."""


@dataclass(frozen=True)
class Rules:
    """Scope and group of each account (-1 for none), and threshold and limit of each owner.

    An owner is over once `needed` of its classes are above its threshold, or one class is above
    `caps` times its threshold; by default it is as published.
    An owner is off-distribution from its query number `limits` on: any claim that
    begins somewhere and does not end would do.
    """

    scopes: tuple[Scope, ...]
    groups: tuple[int, ...]
    thresholds: tuple[float, ...]
    limits: tuple[int, ...]
    needed: tuple[int, ...] = (1,) * (ACCOUNTS + GROUPS)
    caps: tuple[float, ...] = (math.inf,) * (ACCOUNTS + GROUPS)

    def owners(self, account: int) -> list[int]:
        """The owners that a query of `account` is charged to."""
        group = self.groups[account]
        return [account] if group < 0 else [account, ACCOUNTS + group]


rows = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(-7, 7), st.integers(-7, 7)),
    min_size=25,
    max_size=60,
)
"""Streams long enough for a few budgets to be spent."""
_levels = st.sampled_from([0.0, 0.0321, 0.0654, 0.1234, 9.9])
_limits = st.sampled_from([0, 3, 9, 1000])
rules = st.builds(
    Rules,
    scopes=st.tuples(*[st.sampled_from(list(Scope))] * ACCOUNTS),
    groups=st.tuples(*[st.integers(-1, GROUPS - 1)] * ACCOUNTS),
    thresholds=st.tuples(*[_levels] * (ACCOUNTS + GROUPS)),
    limits=st.tuples(*[_limits] * (ACCOUNTS + GROUPS)),
    needed=st.tuples(*[st.integers(1, CLASSES)] * (ACCOUNTS + GROUPS)),
    caps=st.tuples(*[st.sampled_from([1.0, 2.0, math.inf])] * (ACCOUNTS + GROUPS)),
)
PLAIN = Rules((Scope.QUERY,) * ACCOUNTS, (-1,) * ACCOUNTS, (0.0654,) * 5, (1000,) * 5)
"""The paper: every account for itself, and only queries inside and novel are reversed."""


@dataclass
class Enforced:
    """Verdicts and causes, query by query, and the records of every ledger."""

    verdicts: list[int] = field(default_factory=list)
    causes: list[int] = field(default_factory=list)
    records: dict[Key, list[tuple[float, ...]]] = field(default_factory=dict)


@dataclass
class Book:
    """Ledgers of all owners, charged batch by batch through `assess_rows` and `enforce`."""

    rules: Rules
    records: dict[Key, list[tuple[float, ...]]] = field(default_factory=dict)
    asked: Counter[int] = field(default_factory=Counter)

    def charge(self, batch: Sequence[Row]) -> tuple[Assessment, Assessment]:
        """The step on the rows that are charged, and the verdicts on the queries."""
        rows, owners = charged(self.rules, batch)
        labels = np.array([batch[row][1] for row in rows])
        points = embeddings(batch)[rows]
        keys = list(zip(owners, labels.tolist(), strict=True))
        ledgers = sorted(set(keys))
        level, caps = np.array(self.rules.thresholds), np.array(self.rules.caps)
        held = np.array(
            [
                [self._cqs((owner, label)) for label in range(CLASSES)]
                for owner in range(ACCOUNTS + GROUPS)
            ]
        )
        crossed = (held > level[:, None]).sum(axis=1)
        # 0 times infinity is no cap either.
        cap_levels = np.where(np.isinf(caps), np.inf, np.where(np.isinf(caps), 0.0, caps) * level)
        lacking = np.maximum(np.array(self.rules.needed) - crossed, 0)
        lacking[(held > cap_levels[:, None]).any(axis=1)] = 0
        owner_of = np.array([owner for owner, _ in ledgers])
        index = np.array([ledgers.index(key) for key in keys])
        step = assess_rows(
            GEOMETRY,
            LedgerRows(points, labels, index),
            np.array([self._nearest(key, at) for key, at in zip(keys, points, strict=True)]),
            LedgerLevels(
                np.array([self._cqs(key) for key in ledgers]),
                level[owner_of],
                Owners(owner_of, lacking, cap_levels[owner_of]),
            ),
        )
        scopes = np.array([self.rules.scopes[row[0]] for row in batch], np.uint8)
        charges = Charges(np.array(rows), np.array(owners), scopes)
        is_off = np.array([self._count(owner) for owner in owners])
        found = enforce(step, charges, Standing(level[owners], is_off))
        for row in step.recorded.tolist():
            self.records.setdefault(keys[row], []).append(tuple(points[row].tolist()))
        return step, found

    def _count(self, owner: int) -> bool:
        """Whether the owner was off before this query of it."""
        self.asked[owner] += 1
        return self.asked[owner] > self.rules.limits[owner]

    def _held(self, key: Key) -> NDArray[np.float32]:
        return np.array(self.records.get(key, []), np.float32).reshape(-1, 2)

    def _nearest(self, key: Key, point: NDArray[np.float32]) -> float:
        return float(nearest_distances(self._held(key), point[None])[0])

    def _cqs(self, key: Key) -> float:
        return cumulative_query_sensitivity(GEOMETRY, self._held(key), key[1])


def charged(rules: Rules, batch: Sequence[Row]) -> tuple[list[int], list[int]]:
    """Rows and owners: all queries to their accounts, then those of groups to these."""
    rows, owners = list(range(len(batch))), [row[0] for row in batch]
    for place, (account, *_rest) in enumerate(batch):
        for owner in rules.owners(account)[1:]:
            rows.append(place)
            owners.append(owner)
    return rows, owners


def enforce_batches(rules: Rules, batches: Iterable[Sequence[Row]]) -> Enforced:
    """Batch after batch."""
    book, outcome = Book(rules), Enforced()
    for batch in batches:
        if batch:
            found = book.charge(batch)[1]
            outcome.verdicts += found.verdicts.tolist()
            outcome.causes += found.causes.tolist()
    outcome.records = book.records
    return outcome


@dataclass
class _Owner:
    """An owner, as far as the definition needs to know."""

    threshold: float
    limit: int
    needed: int
    cap: float
    asked: int = 0
    cqs: list[float] = field(default_factory=lambda: [0.0] * CLASSES)
    records: list[list[tuple[float, ...]]] = field(
        default_factory=lambda: [[] for _ in range(CLASSES)]
    )

    def charge(
        self, label: int, point: tuple[float, ...], scope: Scope
    ) -> tuple[Verdict, bool, bool]:
        """The paper's verdict, whether the budget reverses the query, and whether it is off."""
        crossed = [cqs > self.threshold for cqs in self.cqs]
        cap = math.inf if math.isinf(self.cap) else self.cap * self.threshold
        over = sum(crossed) >= self.needed or any(cqs > cap for cqs in self.cqs)
        spent = crossed[label] and over
        off = self.asked >= self.limit
        self.asked += 1
        verdict = self._step(label, point, spent)
        # No query counts as covered here.
        wide = {
            Scope.QUERY: False,
            Scope.CLASS: spent,
            Scope.ACCOUNT: over,
            Scope.REPEATED: over,
        }[scope]
        is_metered = scope in {Scope.ACCOUNT, Scope.REPEATED}
        return verdict, verdict == Verdict.REVERSE or wide, off and is_metered

    def _step(self, label: int, point: tuple[float, ...], is_spent: bool) -> Verdict:
        distance = math.dist(point, GEOMETRY.cluster_centers[label].tolist())
        if distance >= 1.0 or any(math.dist(point, r) <= 0.25 for r in self.records[label]):
            return Verdict.PRESERVE
        if is_spent:
            return Verdict.REVERSE
        self.records[label].append(point)
        self.cqs[label] += (0.5 * math.erfc(distance - 1.0)) ** 2 * 0.25**2
        return Verdict.RECORD


def enforce_literally(rules: Rules, stream: Sequence[Row]) -> Enforced:
    """The definition, query after query, in plain Python: the truth for `enforce`."""
    terms = zip(rules.thresholds, rules.limits, rules.needed, rules.caps, strict=True)
    owners = [_Owner(*own) for own in terms]
    outcome = Enforced()
    for (account, label, *_rest), point in zip(stream, embeddings(stream).tolist(), strict=True):
        verdict, cause = Verdict.PRESERVE, Cause.NONE
        for owner in rules.owners(account):
            decided, spent, off = owners[owner].charge(label, tuple(point), rules.scopes[account])
            verdict = max(verdict, decided)
            if spent:
                cause |= Cause.ACCOUNT if owner < ACCOUNTS else Cause.GROUP
            if off:
                cause |= Cause.OFF_DISTRIBUTION
        outcome.verdicts.append(Verdict.REVERSE if cause else verdict)
        outcome.causes.append(int(cause))
    for owner, held in enumerate(owners):
        for label, records in enumerate(held.records):
            if records:
                outcome.records[owner, label] = records
    return outcome
