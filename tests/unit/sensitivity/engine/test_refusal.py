"""Queries that may be refused: from the one that spends a budget on, they change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from queen_sensitivity.engine.book import LedgerBook
from queen_sensitivity.engine.charging import AccountPolicy
from queen_sensitivity.engine.step import LedgerStep
from queen_sensitivity.ledger_store import Append, MemoryLedgerStore

from queen.method.crossing import CAP_OFF, CrossingPolicy, Thresholds
from queen.method.enforcement import Cause, Scope, repeat_radius
from queen.method.facts import Fact
from queen.method.ledger import Assessment, Verdict
from queen.method.meter.off_distribution import OffDistributionMeter
from queen.method.neighbors import nearest_distances
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
REFUSED = AccountPolicy("a", scope=Scope.REPEATED)


def ask(book: LedgerBook, embeddings: np.ndarray, labels: Sequence[int] | np.ndarray) -> Assessment:
    """The assessment of queries of one bound account."""
    queries = batch_of([REFUSED], embeddings, np.asarray(labels), np.zeros(len(labels), int))
    return book.assess(replace(queries, with_facts=True))


POPULATIONS = {
    "one account": [REFUSED],
    "several": [
        REFUSED,
        AccountPolicy("b", scope=Scope.REPEATED, crossing=CrossingPolicy(6, 2, CAP_OFF)),
        AccountPolicy("c", scope=Scope.ACCOUNT),
        AccountPolicy("d", scope=Scope.REPEATED, is_exempt=True),
    ],
    "observed": [
        AccountPolicy("a", scope=Scope.REPEATED, group="g", group_crossing=CrossingPolicy(8)),
        AccountPolicy("b", group="g", group_crossing=CrossingPolicy(8), is_observed=True),
    ],
    "groups": [
        AccountPolicy("a", scope=Scope.REPEATED, group="g", group_crossing=CrossingPolicy(8)),
        AccountPolicy("b", scope=Scope.REPEATED, group="g", group_crossing=CrossingPolicy(8)),
        AccountPolicy("c", scope=Scope.QUERY, group="g", group_crossing=CrossingPolicy(8)),
        AccountPolicy("d", scope=Scope.REPEATED, group="h"),
    ],
}


@pytest.mark.parametrize("meter", [None, meter_of(GEOMETRY, limit=6.0)], ids=["plain", "meter"])
@pytest.mark.parametrize("population", list(POPULATIONS))
@pytest.mark.parametrize("seed", range(2))
def test_queries_are_decided_as_by_an_oracle(
    seed: int, population: str, meter: OffDistributionMeter | None
) -> None:
    """However they are put into micro-batches: verdicts, causes, cqs, records and marks."""
    rng, policies = np.random.default_rng(seed), POPULATIONS[population]
    crossing = CrossingPolicy(5, int(rng.integers(1, 3)), CAP_OFF)
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, crossing=crossing, meter=meter)
    oracle = Oracle(GEOMETRY, Thresholds(GEOMETRY, MEAN, crossing), meter)
    pool, pool_labels = stream(GEOMETRY, seed, 250, reach=1.5)
    refused = 0
    for _ in range(20):
        chosen = rng.integers(0, len(pool), int(rng.integers(1, 40)))
        whose = rng.integers(0, len(policies), len(chosen))
        queries = batch_of(policies, pool[chosen], pool_labels[chosen], whose)
        step = book.assess(replace(queries, with_facts=True))
        expected = [
            oracle.decide(policies[owner], pool[row], int(pool_labels[row]))
            for owner, row in zip(whose.tolist(), chosen.tolist(), strict=True)
        ]
        verdicts, causes, cqs = map(list, zip(*expected, strict=True))
        assert step.verdicts.tolist() == verdicts
        assert step.causes.tolist() == causes
        np.testing.assert_allclose(step.cqs_after, cqs, rtol=1e-12)
        assert step.facts is not None
        np.testing.assert_array_equal(step.facts["cqs_after"], step.cqs_after)
        refused += verdicts.count(Verdict.REVERSE)
    assert refused > 20
    for owner, known in oracle.owners.items():
        stored = store.load(owner, GEOMETRY.digest)
        marks = stored.get(CLASSES, np.zeros((1, 2)))[:, 0]
        limit = np.inf if meter is None else known.limits * meter.limit
        assert known.is_off == (marks.max() >= limit)
        counts = {label: len(records) for label, records in stored.items() if label < CLASSES}
        assert counts == {label: len(records) for label, records in known.records.items()}


def test_only_repeated_queries_are_answered_once_the_account_is_over() -> None:
    """Records of the class, up to rounding; what a record merely covers is refused."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, budget=3)
    ask(book, disc(GEOMETRY, 0, 1, 40), np.zeros(40, int))
    record = store.load("a", GEOMETRY.digest)[0][:1]
    step = np.array([[repeat_radius(GEOMETRY)[0], 0]], np.float32)
    queries = np.concatenate([record, record + 0.99 * step, record + 1.01 * step])
    queries = np.concatenate([queries, ring(GEOMETRY, 1, 1), disc(GEOMETRY, 2, 5, 1)])
    found = ask(book, queries, [0, 0, 0, 1, 2])
    assert found.verdicts.tolist() == [1, 1, 3, 3, 3]
    assert found.causes.tolist() == [0, 0, *[Cause.ACCOUNT] * 3]
    assert found.facts is not None
    assert ((found.facts["bits"] & Fact.REPEATED) > 0).tolist() == [True, True, *[False] * 3]


def test_slight_changes_of_a_query_bring_no_answer_to_it() -> None:
    """The thief who changes each image until a record covers it by chance gets none of them."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, budget=3)
    ask(book, disc(GEOMETRY, 0, 1, 40), np.zeros(40, int))
    held = store.load("a", GEOMETRY.digest)
    changed = disc(GEOMETRY, 0, 7, 300)
    nearest = nearest_distances(held[0], changed)
    assert (nearest <= GEOMETRY.coverage_radius[0]).sum() > 10
    step = ask(book, changed, np.zeros(len(changed), int))
    assert (step.verdicts == Verdict.REVERSE).all()


def test_an_account_pays_up_to_the_query_that_spends_its_budget_and_no_further() -> None:
    """So a request that is refused cannot keep its account below the budget for ever."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, budget=3)
    points, labels = disc(GEOMETRY, 0, 1, 60), np.zeros(60, int)
    step = ask(book, points, labels)
    first = step.verdicts.tolist().index(Verdict.REVERSE)
    assert Verdict.RECORD not in step.verdicts[first:]
    records = store.load("a", GEOMETRY.digest)[0]
    np.testing.assert_array_equal(records, points[step.verdicts == Verdict.RECORD])
    # What was charged is answered when it is asked again, and nothing else is.
    again = ask(book, points[:first], labels[:first])
    assert set(again.verdicts.tolist()) == {Verdict.PRESERVE}
    behind = ask(book, disc(GEOMETRY, 1, 4, 5), np.ones(5, int))
    assert set(behind.verdicts.tolist()) == {Verdict.REVERSE}
    assert store.load("a", GEOMETRY.digest).keys() == {0}


def test_strange_queries_of_one_request_get_the_account_off_distribution_for_good() -> None:
    """The meter stays where they put it, and covered queries are refused from then on."""
    store = MemoryLedgerStore()
    meter = meter_of(GEOMETRY, limit=6.0)
    book = book_of(GEOMETRY, store, budget=9, meter=meter)
    known = disc(GEOMETRY, 0, 1, 1)
    ask(book, known, [0])
    step = ask(book, ring(GEOMETRY, 1, 60), np.ones(60, int))
    assert Cause.OFF_DISTRIBUTION in step.causes
    before = store.load("a", GEOMETRY.digest)
    again = ask(book, np.concatenate([known, disc(GEOMETRY, 2, 5, 3)]), [0, 2, 2, 2])
    assert again.causes.tolist() == [Cause.OFF_DISTRIBUTION] * 4
    after = store.load("a", GEOMETRY.digest)
    assert after.keys() == before.keys() == {0, CLASSES}


def test_no_query_of_an_exempt_account_is_refused() -> None:
    """It is charged as ever, and answered."""
    policy = replace(REFUSED, is_exempt=True)
    store = MemoryLedgerStore()
    points = disc(GEOMETRY, 0, 1, 60)
    step = book_of(GEOMETRY, store, budget=3).assess(
        batch_of([policy], points, np.zeros(60, int), np.zeros(60, int))
    )
    assert Verdict.REVERSE not in step.verdicts
    assert len(store.load("a", GEOMETRY.digest)[0]) == (step.verdicts == Verdict.RECORD).sum() > 0


def test_what_is_in_the_store_stays_charged_and_is_answered() -> None:
    """Another writer crosses a class between two appends: only what comes behind is refused."""
    store = StoreWithEvents(MemoryLedgerStore())
    book, other = (book_of(GEOMETRY, each, budget=3) for each in (store, store.inner))

    def rush(_appends: list[Append]) -> None:
        store.before_append = lambda _: None
        ask(other, disc(GEOMETRY, 1, 9, 60), np.ones(60, int))

    store.before_append = rush
    rows = np.concatenate([disc(GEOMETRY, 0, 1, 1), disc(GEOMETRY, 1, 2, 2)])
    step = ask(book, rows, [0, 1, 1])
    assert step.verdicts[0] == Verdict.RECORD
    assert step.cqs_before[1] > book.limits.thresholds.of_policy().thresholds[1]
    assert Verdict.RECORD not in step.verdicts[1:]
    assert ask(book, rows[:1], [0]).verdicts.tolist() == [Verdict.PRESERVE]
    assert ask(book, disc(GEOMETRY, 2, 3, 1), [2]).verdicts.tolist() == [Verdict.REVERSE]


def test_a_query_that_an_erased_crossing_made_idle_is_decided_again() -> None:
    """The account is not over after all, and its group keeps the query as well."""
    truth = MemoryLedgerStore()
    store = StoreWithEvents(truth)
    policy = replace(REFUSED, group="g", group_crossing=CrossingPolicy(9, 2, CAP_OFF))
    book = book_of(GEOMETRY, store, budget=3)
    points, labels = disc(GEOMETRY, 0, 1, 30), np.zeros(30, int)
    trial = ask(book_of(GEOMETRY, MemoryLedgerStore(), budget=3), points, labels)
    turning = trial.recorded[-1]
    book.assess(batch_of([policy], points[:turning], labels[:turning]))

    def erase(_appends: list[Append]) -> None:
        store.before_append = lambda _: None
        truth.erase("a", [GEOMETRY.digest], 0)

    store.before_append = erase
    rows = np.concatenate([points[[turning]], disc(GEOMETRY, 2, 5, 1)])
    step = book.assess(batch_of([policy], rows, np.array([0, 2])))
    assert step.verdicts.tolist() == [Verdict.RECORD] * 2
    assert truth.load("a", GEOMETRY.digest)[0].shape[0] == 1
    for owner in ("a", "group g"):
        np.testing.assert_array_equal(truth.load(owner, GEOMETRY.digest)[2], rows[1:])


def test_a_group_of_many_accounts_is_settled_in_a_few_rounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many of them get over in one batch: else they could make all others wait."""
    rounds, decide = [], LedgerStep.decide

    def counted(*args: Any) -> Assessment:
        rounds.append(len(args))
        return decide(*args)

    monkeypatch.setattr(LedgerStep, "decide", counted)
    own, shared = CrossingPolicy(2, 1, CAP_OFF), CrossingPolicy(40, 2, CAP_OFF)
    policies = [
        AccountPolicy(f"{each}", own, Scope.REPEATED, "g", group_crossing=shared)
        for each in range(20)
    ]
    points, labels = stream(GEOMETRY, 1, 400, reach=0.95)
    book = book_of(GEOMETRY, MemoryLedgerStore(), meter=meter_of(GEOMETRY))
    step = book.assess(batch_of(policies, points, labels, np.arange(400) % 20))
    assert (step.causes == Cause.ACCOUNT).sum() > 20
    assert len(rounds) <= 4
