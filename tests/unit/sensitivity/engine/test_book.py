"""The engine: verdicts, records and what the store makes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from queen_sensitivity.engine.charging import AccountPolicy
from queen_sensitivity.engine.recording import APPEND_ATTEMPTS
from queen_sensitivity.ledger_store import Append, LedgerKey, MemoryLedgerStore
from queen_sensitivity.ledgers.account_cache import Recheck

from queen.errors import (
    ConfigError,
    DependencyUnavailable,
    InvalidQuery,
    LedgerConflict,
)
from queen.method.crossing import CAP_OFF, UNSTATED, CrossingPolicy, Thresholds, published
from queen.method.enforcement import Scope
from queen.method.ledger import Verdict
from queen.method.sensitivity import Charge, cumulative_query_sensitivity
from tests.unit.sensitivity.oracle import Oracle
from tests.unit.sensitivity.regions import (
    CLASSES,
    StoreWithEvents,
    batch_of,
    book_of,
    counting,
    meter_of,
    open_store,
    queries_of,
    ring,
    small_geometry,
    stream,
)

GEOMETRY = small_geometry()

CROSSINGS = st.sampled_from(
    [
        UNSTATED,
        CrossingPolicy(4),
        CrossingPolicy(20),
        CrossingPolicy(4, 2),
        CrossingPolicy(4, 9, 3),
        CrossingPolicy(2, 2, 1),
        CrossingPolicy(0, 2, CAP_OFF),
        CrossingPolicy(0, 0, 2),
    ]
)
"""Of 3 classes 2 must be crossed at the most."""
POLICIES = st.lists(
    st.builds(
        AccountPolicy,
        st.just("replaced"),
        CROSSINGS,
        st.sampled_from(list(Scope)),
        st.sampled_from(["", "", "north", "south"]),
    ),
    min_size=1,
    max_size=5,
)
GROUP_CROSSINGS = {"": UNSTATED, "north": UNSTATED, "south": CrossingPolicy(25, 2, 2)}


def as_accounts(drawn: list[AccountPolicy]) -> list[AccountPolicy]:
    """The drawn policies with ids of their own and their groups' budgets."""
    return [
        replace(one, account_id=f"account-{number}", group_crossing=GROUP_CROSSINGS[one.group])
        for number, one in enumerate(drawn)
    ]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 90),
    drawn=POLICIES,
    limit=st.sampled_from([None, 6.0, 20.0]),
    charge=st.sampled_from(Charge),
)
def test_micro_batches_decide_as_one_query_at_a_time(
    seed: int, batch: int, drawn: list[AccountPolicy], limit: float | None, charge: Charge
) -> None:
    """However the stream is cut and mixed, verdicts, causes, cqs and records are the oracle's."""
    policies = as_accounts(drawn)
    embeddings, labels = stream(GEOMETRY, seed, 300)
    rng = np.random.default_rng(seed)
    # Some queries come again: what was sent before is covered, and no evidence for the meter.
    again = np.where(rng.random(300) < 0.8, np.arange(300), rng.integers(0, 300, 300))
    embeddings, labels = embeddings[again], labels[again]
    whose = rng.integers(0, len(policies), 300)
    meter = None if limit is None else meter_of(GEOMETRY, limit)
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, meter=meter, charge=charge)
    verdicts, causes, cqs_after = [], [], []
    for start in range(0, 300, batch):
        cut = slice(start, start + batch)
        step = book.assess(batch_of(policies, embeddings[cut], labels[cut], whose[cut]))
        verdicts += step.verdicts.tolist()
        causes += step.causes.tolist()
        cqs_after += step.cqs_after.tolist()

    thresholds = Thresholds(GEOMETRY, np.full(CLASSES, 0.4), published(12))
    oracle = Oracle(GEOMETRY, thresholds, meter, charge)
    expected = [
        oracle.decide(policies[owner], embeddings[row], int(labels[row]))
        for row, owner in enumerate(whose.tolist())
    ]
    assert verdicts == [one[0] for one in expected]
    assert causes == [one[1] for one in expected]
    assert np.allclose(cqs_after, [one[2] for one in expected], rtol=1e-12)
    for owner_id, owner in oracle.owners.items():
        stored = store.load(owner_id, GEOMETRY.digest)
        for label in range(CLASSES):
            kept = stored.get(label, np.empty((0, 2), np.float32))
            assert np.array_equal(kept, owner.stored(label))


def test_all_three_verdicts_occur() -> None:
    """The streams of these tests reach every branch."""
    embeddings, labels = stream(GEOMETRY, 1, 600)
    step = book_of(GEOMETRY, MemoryLedgerStore()).assess(queries_of(embeddings, labels))
    counts = Counter(step.verdicts.tolist())
    assert min(counts[verdict] for verdict in Verdict) > 20


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_restart_changes_nothing(kind: str, tmp_path: Path) -> None:
    """Ledgers read from the store have the records and the very cqs of those that wrote it."""
    store = open_store(kind, tmp_path)
    embeddings, labels = stream(GEOMETRY, 5, 400)
    book = book_of(GEOMETRY, store)
    for start in range(0, 400, 37):
        book.assess(queries_of(embeddings[start : start + 37], labels[start : start + 37]))
    again = book_of(GEOMETRY, store)
    again.assess(queries_of(*stream(GEOMETRY, 6, 50)))
    (kept,), (restored,) = book.cache, again.cache
    assert len(kept.numbers) == CLASSES
    for label, number in kept.numbers.items():
        records, cqs = kept.records(label), book.memory.ledgers.cqs[number]
        assert len(records) > 5
        assert restored.records(label).tobytes() == records.tobytes()
        assert again.memory.ledgers.cqs[restored.numbers[label]] == cqs
        assert cqs == pytest.approx(
            cumulative_query_sensitivity(GEOMETRY, records, label), rel=1e-12
        )
    store.close()


def test_a_replay_records_nothing() -> None:
    """A retry costs an account nothing: the same batch again finds all of it covered."""
    store = StoreWithEvents(MemoryLedgerStore())
    book = book_of(GEOMETRY, store)
    batch = queries_of(*stream(GEOMETRY, 2, 30))
    first = book.assess(batch)
    assert len(first.recorded) > 5
    appended = len(store.appends)
    second = book.assess(batch)
    assert len(second.recorded) == 0
    assert len(store.appends) == appended


def test_one_account_changes_nothing_for_another() -> None:
    """The same stream gets the same verdicts whatever others ask in the same batches."""
    embeddings, labels = stream(GEOMETRY, 7, 200)
    alone = book_of(GEOMETRY, MemoryLedgerStore()).assess(queries_of(embeddings, labels))
    others, other_labels = stream(GEOMETRY, 8, 400)
    mixed = np.concatenate([embeddings, embeddings, others])
    mixed_labels = np.concatenate([labels, labels, other_labels])
    owners = np.repeat([0, 1, 2], [200, 200, 400])
    order = np.random.default_rng(0).permutation(800)
    order[np.flatnonzero(np.isin(order, np.arange(200)))] = np.arange(200)
    step = book_of(GEOMETRY, MemoryLedgerStore()).assess(
        queries_of(mixed[order], mixed_labels[order], owners[order], ("a", "b", "c"))
    )
    assert np.array_equal(step.verdicts[owners[order] == 0], alone.verdicts)


def test_another_writers_records_are_merged_and_the_rows_taken_again() -> None:
    """A lost compare-and-set brings the other replica's records, and the verdict follows them."""
    truth, results = MemoryLedgerStore(), Counter[str]()
    store = StoreWithEvents(truth)
    book = book_of(GEOMETRY, store, listeners=counting(results))
    point = GEOMETRY.cluster_centers[[1]]
    untouched = GEOMETRY.cluster_centers[[2]]

    def other_replica(_: object) -> None:
        store.before_append = lambda _: None
        near = point + np.float32(0.01)
        truth.append_many([Append(LedgerKey("a", GEOMETRY.digest, 1), 0, near)])

    store.before_append = other_replica
    batch = queries_of(np.concatenate([point, untouched]), np.array([1, 2]))
    step = book.assess(batch)

    assert step.verdicts.tolist() == [Verdict.PRESERVE, Verdict.RECORD]
    assert step.cqs_before[0] > 0
    assert results == {"conflict": 1, "appended": 1}
    assert [len(records) for records in truth.load("a", GEOMETRY.digest).values()] == [1, 1]


def test_a_store_that_lost_records_gets_them_back() -> None:
    """After a failover the acknowledged records are appended again, in order, and counted."""
    store, results = StoreWithEvents(MemoryLedgerStore()), Counter[str]()
    book = book_of(GEOMETRY, store, listeners=counting(results))
    angles = np.linspace(0, 2 * np.pi, 6, endpoint=False)
    ring = (0.5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.float32)
    book.assess(queries_of(ring[:4], np.zeros(4, int)))
    store.inner = MemoryLedgerStore()
    store.inner.append_many([Append(LedgerKey("a", GEOMETRY.digest, 0), 0, ring[:1])])

    step = book.assess(queries_of(ring[4:], np.zeros(2, int)))

    assert step.verdicts.tolist() == [Verdict.RECORD, Verdict.RECORD]
    assert np.array_equal(store.load("a", GEOMETRY.digest)[0], ring)
    assert results == {"appended": 2, "regressed": 1}


def test_a_writer_that_always_wins_ends_in_a_conflict() -> None:
    """The retries are bounded, and what the other replica wrote is not lost."""
    geometry = small_geometry(0.02)
    truth = MemoryLedgerStore()
    store = StoreWithEvents(truth)
    book = book_of(geometry, store, budget=1000)
    theirs = ring(geometry, 0, APPEND_ATTEMPTS + 1, reach=0.9)

    def other_replica(appends: Sequence[Append]) -> None:
        version = appends[0].expected_version
        truth.append_many([Append(appends[0].key, version, theirs[version : version + 1])])

    store.before_append = other_replica
    with pytest.raises(LedgerConflict, match=str(APPEND_ATTEMPTS)):
        book.assess(queries_of(geometry.cluster_centers[:1], np.zeros(1, int)))
    assert len(truth.load("a", geometry.digest)[0]) == APPEND_ATTEMPTS


def test_a_writer_that_always_wins_spends_the_budget_of_both() -> None:
    """Every lost try is a record of the same ledger: once it has crossed, a verdict needs none."""
    truth, results = MemoryLedgerStore(), Counter[str]()
    store = StoreWithEvents(truth)
    book = book_of(GEOMETRY, store, listeners=counting(results))
    theirs = ring(GEOMETRY, 0, APPEND_ATTEMPTS, reach=0.5)

    def other_replica(appends: Sequence[Append]) -> None:
        version = appends[0].expected_version
        truth.append_many([Append(appends[0].key, version, theirs[version : version + 1])])

    store.before_append = other_replica
    step = book.assess(queries_of(GEOMETRY.cluster_centers[:1], np.zeros(1, int)))
    assert step.verdicts.tolist() == [Verdict.REVERSE]
    assert results.keys() == {"conflict"}
    lost = len(truth.load("a", GEOMETRY.digest)[0])
    assert 8 < results["conflict"] == lost < APPEND_ATTEMPTS


@pytest.mark.parametrize("moment", ["before", "after"])
def test_nothing_is_acknowledged_before_the_append_succeeded(moment: str) -> None:
    """A store that fails gives no verdict; the next one starts from what the store really has."""
    store = StoreWithEvents(MemoryLedgerStore())
    book = book_of(GEOMETRY, store)

    def fail(*_: object) -> None:
        raise DependencyUnavailable("expected an answer, got none")

    if moment == "before":
        store.before_append = fail
    else:
        store.after_append = fail
    points, labels = stream(GEOMETRY, 4, 20)
    alone = book_of(GEOMETRY, MemoryLedgerStore()).assess(queries_of(points, labels))
    batch = queries_of(points[alone.recorded], labels[alone.recorded])
    with pytest.raises(DependencyUnavailable):
        book.assess(batch)
    assert book.accounts_cached == 0
    stored = store.inner.load("a", GEOMETRY.digest)
    assert bool(stored) is (moment == "after")

    store.before_append = lambda _: None
    store.after_append = lambda: None
    step = book.assess(batch)
    assert (len(step.recorded) > 0) is (moment == "before")


def test_only_recording_batches_reach_the_store() -> None:
    """Covered, outside and reversed queries of known accounts cost no round trip."""
    store = StoreWithEvents(MemoryLedgerStore())
    book = book_of(GEOMETRY, store, recheck=Recheck(1.0, lambda: 0.0))
    book.assess(queries_of(*stream(GEOMETRY, 1, 3000)))
    appends, loads = len(store.appends), store.loads
    step = book.assess(queries_of(*stream(GEOMETRY, 9, 300)))
    assert Verdict.REVERSE in step.verdicts
    assert len(step.recorded) == 0
    assert (len(store.appends), store.loads) == (appends, loads)


def test_memory_is_bounded_by_the_least_recently_used() -> None:
    """Accounts beyond the bound leave memory, even within one batch, and lose nothing."""
    store = StoreWithEvents(MemoryLedgerStore())
    book = book_of(GEOMETRY, store, cached_accounts=2)
    embeddings, labels = stream(GEOMETRY, 1, 40)
    names = [f"account-{number}" for number in range(8)]
    first = book.assess(queries_of(embeddings, labels, np.arange(40) % 8, names))
    assert book.accounts_cached == 2
    assert store.loads == 8
    again = book.assess(queries_of(embeddings, labels, np.arange(40) % 8, names))
    assert len(first.recorded) > 8
    assert len(again.recorded) == 0
    assert store.loads == 14


def test_an_accounts_own_budget_holds() -> None:
    """Two accounts, two budgets, one batch: the larger one records more before it crosses."""
    book = book_of(GEOMETRY, MemoryLedgerStore())
    embeddings, labels = stream(GEOMETRY, 1, 1000, reach=0.9)
    counts = {}
    for name, budget in (("default", 0), ("small", 4), ("large", 40)):
        step = book.assess(queries_of(embeddings, labels, accounts=(name,), budget=budget))
        counts[name] = len(step.recorded)
    assert counts["small"] < counts["default"] < counts["large"]


def test_a_budget_above_the_packing_limit_is_refused_at_start_and_per_request() -> None:
    """A threshold that no account can reach is an error where it is stated."""
    with pytest.raises(ConfigError, match="expected a budget of at most"):
        Thresholds(GEOMETRY, np.full(CLASSES, 0.4), published(100_000))
    store = StoreWithEvents(MemoryLedgerStore())
    book = book_of(GEOMETRY, store)
    embeddings, labels = stream(GEOMETRY, 1, 10)
    with pytest.raises(InvalidQuery, match="expected a budget of at most") as refusal:
        book.assess(queries_of(embeddings, labels, budget=100_000))
    assert refusal.value.field == "accounts.budget"
    assert store.appends == []


def test_ledgers_of_another_geometry_are_left_alone() -> None:
    """A refitted bundle starts empty, and the old ledgers stay as they are."""
    store = MemoryLedgerStore()
    batch = queries_of(*stream(GEOMETRY, 1, 50))
    book_of(GEOMETRY, store).assess(batch)
    before = store.load("a", GEOMETRY.digest)
    refitted = small_geometry(0.11)
    step = book_of(refitted, store).assess(batch)
    assert len(step.recorded) > 5
    after = store.load("a", GEOMETRY.digest)
    assert {label: kept.tobytes() for label, kept in before.items()} == {
        label: kept.tobytes() for label, kept in after.items()
    }
