"""Requests that are refused whole: nothing of them is recorded, and nothing is charged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from queen_sensitivity.engine.batch import AccountPolicy, Queries
from queen_sensitivity.engine.book import LedgerBook
from queen_sensitivity.ledger_store import Append, MemoryLedgerStore
from queen_sensitivity.ledgers.account_cache import Fetched

from queen.method.crossing import CAP_OFF, CrossingPolicy, OwnerThresholds, Thresholds
from queen.method.facts import Fact
from queen.method.ledger import Cause, Scope, Verdict
from queen.method.off_distribution import OffDistributionMeter
from tests.unit.sensitivity.oracle import Oracle
from tests.unit.sensitivity.regions import (
    CLASSES,
    StoreWithEvents,
    batch_of,
    book_of,
    disc,
    meter_of,
    ring,
    small_geometry,
    stream,
)

GEOMETRY = small_geometry(0.15)
MEAN = np.full(CLASSES, 0.4)
REFUSED = AccountPolicy("a", scope=Scope.COVERED)


def requests_of(sizes: list[int]) -> np.ndarray:
    """The request of each row, of requests with these numbers of rows."""
    return np.repeat(np.arange(len(sizes)), sizes)


def asked(policies: list[AccountPolicy], rows: list[tuple[int, np.ndarray, np.ndarray]]) -> Queries:
    """A micro-batch of requests: the account, the embeddings and the labels of each."""
    sizes = [len(labels) for _, _, labels in rows]
    queries = batch_of(
        policies,
        np.concatenate([embeddings for _, embeddings, _ in rows]),
        np.concatenate([labels for _, _, labels in rows]),
        np.repeat([account for account, _, _ in rows], sizes),
    )
    return replace(queries, with_facts=True, request_index=requests_of(sizes))


POPULATIONS = {
    "one account": [REFUSED],
    "several": [
        REFUSED,
        AccountPolicy("b", scope=Scope.COVERED, crossing=CrossingPolicy(6, 2, CAP_OFF)),
        AccountPolicy("c", scope=Scope.ACCOUNT),
        AccountPolicy("d", scope=Scope.COVERED, is_exempt=True),
    ],
    "observed": [
        AccountPolicy("a", scope=Scope.COVERED, group="g", group_crossing=CrossingPolicy(8)),
        AccountPolicy("b", group="g", group_crossing=CrossingPolicy(8), is_observed=True),
    ],
    "groups": [
        AccountPolicy("a", scope=Scope.COVERED, group="g", group_crossing=CrossingPolicy(8)),
        AccountPolicy("b", scope=Scope.COVERED, group="g", group_crossing=CrossingPolicy(8)),
        AccountPolicy("c", scope=Scope.QUERY, group="g", group_crossing=CrossingPolicy(8)),
        AccountPolicy("d", scope=Scope.COVERED, group="h"),
    ],
}


@pytest.mark.parametrize("meter", [None, meter_of(GEOMETRY, limit=6.0)], ids=["plain", "meter"])
@pytest.mark.parametrize("population", list(POPULATIONS))
@pytest.mark.parametrize("seed", range(2))
def test_requests_are_decided_as_by_an_oracle_that_undoes_what_is_refused(
    seed: int, population: str, meter: OffDistributionMeter | None
) -> None:
    """However the requests are put into micro-batches: verdicts, causes, cqs, records and marks."""
    rng, policies = np.random.default_rng(seed), POPULATIONS[population]
    crossing = CrossingPolicy(5, int(rng.integers(1, 3)), CAP_OFF)
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, crossing=crossing, meter=meter)
    oracle = Oracle(GEOMETRY, Thresholds(GEOMETRY, MEAN, crossing), meter)
    pool, pool_labels = stream(GEOMETRY, seed, 250, reach=1.5)
    refused = 0
    for _ in range(20):
        rows = []
        for _ in range(int(rng.integers(1, 12))):
            chosen = rng.integers(0, len(pool), int(rng.integers(1, 5)))
            rows.append((int(rng.integers(len(policies))), pool[chosen], pool_labels[chosen]))
        step = book.assess(asked(policies, rows))
        expected = [
            decision
            for account, embeddings, labels in rows
            for decision in oracle.decide_request(policies[account], embeddings, labels)
        ]
        verdicts, causes, cqs = map(list, zip(*expected, strict=True))
        assert step.verdicts.tolist() == verdicts
        # A refused request states the standing of its owners before the micro-batch.
        assert ((step.causes > 0) == (np.array(causes) > 0)).all()
        assert ((step.causes & ~np.array(causes)) == 0).all()
        np.testing.assert_allclose(step.cqs_after, cqs, rtol=1e-12)
        assert step.facts is not None
        np.testing.assert_array_equal(step.facts["cqs_after"], step.cqs_after)
        refused += sum(verdict == Verdict.REVERSE for verdict in verdicts)
    assert refused > 20
    owners = {policy.account_id for policy in policies}
    owners |= {f"group {policy.group}" for policy in policies if policy.group}
    for owner in owners:
        known = oracle.owners.get(owner)
        stored = store.load(owner, GEOMETRY.digest)
        counts = {label: len(records) for label, records in stored.items() if label < CLASSES}
        expected_counts = (
            {}
            if known is None
            else {label: len(records) for label, records in known.records.items() if records}
        )
        assert counts == expected_counts


def test_only_covered_queries_are_answered_once_the_account_is_over() -> None:
    """Within r of a record of the class, inside the region or not; all others are refused."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, budget=3)
    points = disc(GEOMETRY, 0, 1, 40)
    book.assess(asked([REFUSED], [(0, points[[row]], np.zeros(1, int)) for row in range(40)]))
    record = store.load("a", GEOMETRY.digest)[0][:1]
    near = record + np.float32(0.5 * GEOMETRY.coverage_radius[0])
    outside = ring(GEOMETRY, 1, 1)
    fresh = disc(GEOMETRY, 2, 5, 1)
    rows = [(0, record, [0]), (0, near, [0]), (0, outside, [1]), (0, fresh, [2])]
    step = book.assess(asked([REFUSED], [(owner, z, np.array(y)) for owner, z, y in rows]))
    assert step.verdicts.tolist() == [1, 1, 3, 3]
    assert step.causes.tolist() == [0, 0, Cause.ACCOUNT, Cause.ACCOUNT]
    assert step.facts is not None
    assert ((step.facts["bits"] & Fact.COVERED) > 0).tolist() == [True, True, False, False]


def test_a_request_that_gets_its_account_over_is_refused_and_the_next_is_decided_without_it() -> (
    None
):
    """Its own rows cross and go on; a smaller request is accepted behind it."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, budget=3)
    points, labels = disc(GEOMETRY, 0, 1, 60), np.zeros(60, int)
    step = book.assess(asked([REFUSED], [(0, points, labels), (0, points[:2], labels[:2])]))
    assert Verdict.REVERSE in step.verdicts[:60]
    assert step.verdicts[60:].tolist() == [Verdict.RECORD] * 2
    np.testing.assert_array_equal(store.load("a", GEOMETRY.digest)[0], points[:2])


def test_no_request_of_an_exempt_account_is_refused() -> None:
    """It is charged as ever, and answered."""
    policy = replace(REFUSED, is_exempt=True)
    store = MemoryLedgerStore()
    step = book_of(GEOMETRY, store, budget=3).assess(
        asked([policy], [(0, disc(GEOMETRY, 0, 1, 60), np.zeros(60, int))])
    )
    assert Verdict.REVERSE not in step.verdicts
    assert len(store.load("a", GEOMETRY.digest)[0]) == (step.verdicts == Verdict.RECORD).sum() > 0


def test_a_request_is_not_refused_once_a_part_of_it_is_in_the_store() -> None:
    """Another writer crosses one of its classes meanwhile: it is answered, since it is charged."""
    store = StoreWithEvents(MemoryLedgerStore())
    book, other = (book_of(GEOMETRY, each, budget=3) for each in (store, store.inner))
    rival = disc(GEOMETRY, 1, 9, 60)

    def rush(_appends: list[Append]) -> None:
        store.before_append = lambda _: None
        for row in range(60):
            other.assess(asked([REFUSED], [(0, rival[[row]], np.ones(1, int))]))

    store.before_append = rush
    rows = np.concatenate([disc(GEOMETRY, 0, 1, 1), disc(GEOMETRY, 1, 2, 2)])
    step = book.assess(asked([REFUSED], [(0, rows, np.array([0, 1, 1]))]))
    assert Verdict.REVERSE not in step.verdicts
    assert step.verdicts[0] == Verdict.RECORD
    behind = book.assess(asked([REFUSED], [(0, disc(GEOMETRY, 2, 3, 1), np.array([2]))]))
    assert behind.verdicts.tolist() == [Verdict.REVERSE]


def rounds_of(book: LedgerBook, queries: Queries) -> tuple[int, list[int]]:
    """How often the accounts are looked up for a micro-batch, and the verdicts on it."""
    rounds = 0
    fetch = book.cache.fetch

    def counted(owners: Sequence[str], thresholds: OwnerThresholds) -> Fetched:
        nonlocal rounds
        rounds += 1
        return fetch(owners, thresholds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(book.cache, "fetch", counted)
        verdicts = book.assess(queries).verdicts.tolist()
    return rounds, verdicts


def test_requests_of_an_account_over_its_budget_are_settled_at_once() -> None:
    """A full micro-batch of refused requests is judged in one go."""
    book = book_of(GEOMETRY, MemoryLedgerStore(), budget=3)
    points = disc(GEOMETRY, 0, 1, 40)
    book.assess(asked([REFUSED], [(0, points[[row]], np.zeros(1, int)) for row in range(40)]))
    rows = disc(GEOMETRY, 1, 4, 200)
    queries = asked([REFUSED], [(0, rows[[row]], np.ones(1, int)) for row in range(200)])
    rounds, verdicts = rounds_of(book, queries)
    assert set(verdicts) == {Verdict.REVERSE}
    assert rounds == 1


def test_requests_that_spend_the_budget_by_themselves_are_settled_at_once() -> None:
    """None of them changes what the next meets: the work does not grow with their number."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, budget=3)
    points, labels = disc(GEOMETRY, 0, 1, 60), np.zeros(60, int)
    outside = ring(GEOMETRY, 1, 1)
    covered = (0, points[:1], labels[:1])
    large = (0, np.concatenate([points, outside]), np.append(labels, 1))
    rounds, verdicts = rounds_of(book, asked([REFUSED], [covered, *[large, covered] * 20]))
    assert verdicts[-1] == Verdict.PRESERVE
    assert verdicts.count(Verdict.REVERSE) >= 20
    assert rounds == 2
    np.testing.assert_array_equal(store.load("a", GEOMETRY.digest)[0], points[:1])
