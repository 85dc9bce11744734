"""Replicas that share a store in which an account is erased."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from queen_sensitivity.engine.charging import AccountPolicy
from queen_sensitivity.engine.crossings import Crossing, CrossingKind
from queen_sensitivity.engine.wiring import Listeners
from queen_sensitivity.ledger_store import Append, LedgerKey, MemoryLedgerStore
from queen_sensitivity.ledgers.account_cache import Recheck

from queen.method.enforcement import Scope
from queen.method.ledger import Verdict
from tests.unit.sensitivity.regions import (
    CLASSES,
    StoreWithEvents,
    batch_of,
    book_of,
    counting,
    disc,
    meter_of,
    queries_of,
    ring,
    small_geometry,
    stream,
)

GEOMETRY = small_geometry()
METER = meter_of(GEOMETRY)
DIGEST = GEOMETRY.digest


def kept(store: MemoryLedgerStore, account: str = "a") -> set[bytes]:
    """All records of an account."""
    found = store.load(account, DIGEST).values()
    return {record.tobytes() for records in found for record in records}


def test_a_replica_with_a_stale_ledger_brings_no_record_back() -> None:
    """It learns of the erasure when it next records, decides again, and keeps only what is new."""
    store, counts = MemoryLedgerStore(), Counter[str]()
    stale = book_of(GEOMETRY, store, listeners=counting(counts))
    stale.assess(queries_of(*stream(GEOMETRY, 1, 25)))
    before = kept(store)
    store.erase("a", [DIGEST], 0)
    batch = queries_of(*stream(GEOMETRY, 2, 25))
    told = stale.assess(batch)
    assert counts["renewed"] > 0
    assert not kept(store) & before

    alone = MemoryLedgerStore()
    expected = book_of(GEOMETRY, alone).assess(batch)
    assert kept(store) == kept(alone)
    for name in ("verdicts", "cqs_before", "cqs_after", "causes"):
        assert np.array_equal(getattr(told, name), getattr(expected, name))


@pytest.mark.parametrize("scope", [Scope.QUERY, Scope.ACCOUNT])
def test_a_spent_account_is_asked_about_after_a_while(scope: Scope) -> None:
    """It records nothing, so nothing else would tell a replica that the budget is fresh."""
    store, now = MemoryLedgerStore(), [0.0]
    book = book_of(GEOMETRY, store, recheck=Recheck(1.0, lambda: now[0]))
    policy = AccountPolicy("a", scope=scope)
    spent = batch_of([policy], *stream(GEOMETRY, 1, 2000))
    book.assess(spent)
    fresh = batch_of([policy], disc(GEOMETRY, 0, 5, 40), np.zeros(40, int))
    assert Verdict.REVERSE in book.assess(fresh).verdicts
    store.erase("a", [DIGEST], 0)
    now[0] = 0.9
    assert Verdict.RECORD not in book.assess(fresh).verdicts
    now[0] = 1.1
    answer = book.assess(fresh)
    assert answer.verdicts[0] == Verdict.RECORD
    assert answer.cqs_before[0] == 0.0


def test_an_account_that_was_off_distribution_is_asked_about_too() -> None:
    """The meter begins anew: its level, its marks and what it remembered are gone."""
    store, now = MemoryLedgerStore(), [0.0]
    book = book_of(GEOMETRY, store, meter=METER, recheck=Recheck(1.0, lambda: now[0]))
    policy = AccountPolicy("a", scope=Scope.ACCOUNT)
    far = batch_of([policy], ring(GEOMETRY, 0, 40), np.zeros(40, int))
    assert book.assess(far).verdicts[-1] == Verdict.REVERSE
    assert store.load("a", DIGEST)[CLASSES][:, 0].max() >= METER.limit
    store.erase("a", [DIGEST], 0)
    now[0] = 2.0
    answer = book.assess(batch_of([policy], ring(GEOMETRY, 0, 3), np.zeros(3, int)))
    assert set(answer.verdicts.tolist()) == {Verdict.PRESERVE}


def test_a_mark_from_before_the_erasure_is_dropped() -> None:
    """The climb of a meter that was erased meanwhile leaves nothing in the store."""
    store = StoreWithEvents(MemoryLedgerStore())
    book = book_of(GEOMETRY, store, meter=METER)
    book.assess(queries_of(ring(GEOMETRY, 0, 4), np.zeros(4, int)))
    assert store.inner.load("a", DIGEST)[CLASSES].size
    store.inner.erase("a", [DIGEST], 0)
    book.assess(queries_of(ring(GEOMETRY, 0, 4, reach=3.0), np.zeros(4, int)))
    assert store.inner.load("a", DIGEST) == {}


def test_a_spent_account_is_answered_from_memory_while_the_store_is_down() -> None:
    """Asking whether an account was erased must not cost its verdicts."""
    store, now = StoreWithEvents(MemoryLedgerStore()), [0.0]
    book = book_of(GEOMETRY, store, recheck=Recheck(1.0, lambda: now[0]))
    book.assess(queries_of(*stream(GEOMETRY, 1, 2000)))
    store.is_down, now[0] = True, 5.0
    assert Verdict.REVERSE in book.assess(queries_of(*stream(GEOMETRY, 9, 300))).verdicts


def test_an_erasure_that_the_store_lost_is_made_up_for() -> None:
    """A failover to a state before it: what was erased goes again, the rest is given back."""
    lost, truth = MemoryLedgerStore(), MemoryLedgerStore()
    store = StoreWithEvents(truth)
    book = book_of(GEOMETRY, store, budget=60)
    old = stream(GEOMETRY, 1, 20)
    for each in (lost, truth):
        book_of(GEOMETRY, each, budget=60).assess(queries_of(*old))
    erased = kept(lost)
    truth.erase("a", [DIGEST], 1000)
    book.assess(queries_of(*stream(GEOMETRY, 2, 20)))
    mine = kept(truth)
    store.inner = lost
    book.assess(queries_of(*stream(GEOMETRY, 3, 60)))
    assert not kept(lost) & erased
    assert mine <= kept(lost)


def test_an_erasure_in_the_middle_of_a_batch_spares_the_other_accounts() -> None:
    """Only the erased account's rows are decided again; the others keep their verdicts."""
    store = StoreWithEvents(MemoryLedgerStore())
    book = book_of(GEOMETRY, store)
    names = ["a", "b"]
    first = queries_of(*stream(GEOMETRY, 1, 40), np.arange(40) % 2, names)
    book.assess(first)

    def erase_once(_: Sequence[Append]) -> None:
        store.before_append = lambda _: None
        store.inner.erase("a", [DIGEST], 0)

    store.before_append = erase_once
    second = queries_of(*stream(GEOMETRY, 2, 40), np.arange(40) % 2, names)
    told = book.assess(second)

    neighbor, fresh = (book_of(GEOMETRY, MemoryLedgerStore()) for _ in range(2))
    neighbor.assess(first)
    of_b, of_a = neighbor.assess(second), fresh.assess(second)
    assert told.verdicts[1::2].tolist() == of_b.verdicts[1::2].tolist()
    assert told.verdicts[0::2].tolist() == of_a.verdicts[0::2].tolist()
    assert np.array_equal(told.cqs_after[0::2], of_a.cqs_after[0::2])


def test_an_exempt_account_is_counted_and_never_reversed() -> None:
    """Its records, its group's and its neighbor's verdicts are those without the exemption."""
    stores = [MemoryLedgerStore(), MemoryLedgerStore()]
    answers = []
    for store, is_exempt in zip(stores, (False, True), strict=True):
        policies = [
            AccountPolicy("a", scope=Scope.ACCOUNT, group="us", is_exempt=is_exempt),
            AccountPolicy("b", scope=Scope.ACCOUNT, group="us"),
        ]
        book = book_of(GEOMETRY, store, meter=METER)
        embeddings, labels = stream(GEOMETRY, 1, 3000)
        book.assess(batch_of(policies, embeddings[:2000], labels[:2000], np.arange(2000) % 2))
        owners = np.arange(1000) % 2
        answers.append(book.assess(batch_of(policies, embeddings[2000:], labels[2000:], owners)))
    plain, spared = answers
    assert set(plain.verdicts[0::2].tolist()) == {Verdict.REVERSE}
    assert Verdict.REVERSE not in spared.verdicts[0::2]
    assert not spared.causes[0::2].any()
    assert np.array_equal(plain.verdicts[1::2], spared.verdicts[1::2])
    for owner in ("a", "b", "group us"):
        assert kept(stores[0], owner) == kept(stores[1], owner)


def test_each_crossing_is_announced_once() -> None:
    """Of classes, of owners and of the meter; with what was reached, and the limit."""
    told: list[Crossing] = []
    book = book_of(
        GEOMETRY, MemoryLedgerStore(), meter=METER, listeners=Listeners(announce=told.extend)
    )
    policy = AccountPolicy("a", group="us")
    book.assess(batch_of([policy], ring(GEOMETRY, 0, 40), np.zeros(40, int)))
    book.assess(batch_of([policy], ring(GEOMETRY, 1, 40), np.ones(40, int)))
    other = AccountPolicy("b", group="us")
    book.assess(batch_of([other], ring(GEOMETRY, 2, 40), np.full(40, 2)))
    owners = [(one.account_id, one.label) for one in told]
    assert owners == [("a", None), ("b", None), ("group us", None)]
    assert [one.limit for one in told] == [METER.limit, METER.limit, 2 * METER.limit]
    told.clear()
    for seed in range(40):
        book.assess(batch_of([policy], *stream(GEOMETRY, seed, 50, reach=0.9)))
    owners = ("a", "group us")
    expected = {(owner, label) for owner in owners for label in range(CLASSES)}
    classes = [one for one in told if one.kind is CrossingKind.THRESHOLD]
    assert sorted((one.account_id, one.label) for one in classes) == sorted(expected)
    assert all(one.level > one.limit > 0 for one in classes)
    over = [one for one in told if one.kind is CrossingKind.BREADTH]
    assert sorted(one.account_id for one in over) == sorted(owners)
    assert all(one.level >= one.limit == 1 for one in over)
    assert len(classes) + len(over) == len(told)


def test_another_replica_that_was_told_to_forget_reads_again() -> None:
    """The admin API of the same process need not wait for the next question to the store."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store)
    book.assess(queries_of(*stream(GEOMETRY, 1, 2000)))
    store.erase("a", [DIGEST], 0)
    book.forget("a")
    answer = book.assess(queries_of(*stream(GEOMETRY, 1, 5, reach=0.5)))
    assert answer.verdicts[0] == Verdict.RECORD
    assert LedgerKey("a", DIGEST, 0).account_id in store.list_accounts(DIGEST, "", 5)
