"""The secret of an owner, kept with its ledgers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from queen_sensitivity.engine.book import LedgerBook
from queen_sensitivity.engine.charging import AccountPolicy
from queen_sensitivity.ledger_store import Append, LedgerKey, LedgerStore, MemoryLedgerStore

from queen.errors import DependencyUnavailable
from queen.method.crossing import CrossingPolicy
from queen.method.enforcement import Scope
from queen.method.ledger import Verdict
from tests.unit.sensitivity.regions import (
    StoreWithEvents,
    batch_of,
    book_of,
    disc,
    meter_of,
    open_store,
    ring,
    small_geometry,
)

GEOMETRY = small_geometry()
MARKS = LedgerKey("a", GEOMETRY.digest, GEOMETRY.num_classes)
SPENT = disc(GEOMETRY, 0, 1, 60)
OLD, NEW, NEXT = 11, 22, 33


def keyed(name: str = "a", group: str = "", *, is_keyed: bool = True) -> AccountPolicy:
    """An account whose flagged queries the perturber answers; four records of a class spend it."""
    few = CrossingPolicy(4)
    return AccountPolicy(name, few, Scope.ACCOUNT, group, few, is_keyed=is_keyed)


def secrets_of(
    book: LedgerBook, held: Sequence[int], policy: AccountPolicy | None = None
) -> list[int]:
    """The secrets of an account's flagged queries, each once; the others have none."""
    queries = batch_of([policy or keyed()], SPENT, np.zeros(len(SPENT), int))
    assessment = book.assess(replace(queries, secrets=tuple(held)))
    is_flagged = assessment.verdicts == Verdict.REVERSE
    assert is_flagged.any()
    assert not assessment.secrets[~is_flagged].any()
    return np.unique(assessment.secrets[is_flagged]).tolist()


def marks_of(store: LedgerStore, owner: str = "a") -> list[float]:
    """The marks in the store, in order."""
    stored = store.load(owner, GEOMETRY.digest)
    return stored[GEOMETRY.num_classes][:, 0].tolist() if GEOMETRY.num_classes in stored else []


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_an_owner_keeps_its_first_secret_until_that_one_retires(kind: str, tmp_path: Path) -> None:
    """A rotation changes nothing for it, over a restart too; its retirement changes it once."""
    store = open_store(kind, tmp_path)
    book = book_of(GEOMETRY, store)
    assert secrets_of(book, [OLD]) == [OLD]
    assert secrets_of(book, [NEW, OLD]) == [OLD]
    assert secrets_of(book, [NEW, OLD], keyed("b")) == [NEW]
    again = book_of(GEOMETRY, store)
    assert secrets_of(again, [NEW, OLD]) == [OLD]
    assert secrets_of(again, [NEW]) == [NEW]
    assert secrets_of(again, [NEXT, NEW]) == [NEW]
    assert secrets_of(book, [NEXT, NEW, OLD]) == [OLD]
    assert marks_of(store) == [-OLD, -NEW]
    assert marks_of(store, "b") == [-NEW]
    store.close()


def test_the_accounts_of_a_group_are_answered_under_one_secret() -> None:
    """It is the group that keeps it: two of its accounts cannot compare two answers."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store)
    assert secrets_of(book, [OLD], keyed("a", "north")) == [OLD]
    assert secrets_of(book, [NEW, OLD], keyed("b", "north")) == [OLD]
    assert secrets_of(book, [NEW, OLD], keyed("c", "south")) == [NEW]
    assert marks_of(store, "group north") == [-OLD]
    assert marks_of(store, "a") == marks_of(store, "b") == []


def test_nothing_is_kept_where_no_secret_keys_an_answer() -> None:
    """Accounts that the front door answers itself have none; nor does anybody without a secret."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store)
    assert secrets_of(book, [OLD], keyed(is_keyed=False)) == [0]
    assert secrets_of(book, []) == [0]
    assert marks_of(store) == []


def test_a_store_that_cannot_keep_a_secret_costs_no_verdict() -> None:
    """The current secret answers meanwhile, and is kept once the store is back."""
    store = StoreWithEvents(MemoryLedgerStore())
    book = book_of(GEOMETRY, store)
    secrets_of(book, [])

    def fail(_: Sequence[Append]) -> None:
        raise DependencyUnavailable("expected an answer, got none")

    store.before_append = fail
    assert secrets_of(book, [OLD]) == [OLD]
    assert marks_of(store) == []
    store.before_append = lambda _: None
    assert secrets_of(book, [OLD]) == [OLD]
    assert marks_of(store) == [-OLD]


def test_the_secret_that_another_replica_kept_first_holds() -> None:
    """Two replicas that know two secrets agree by the store's compare-and-set."""
    store = StoreWithEvents(MemoryLedgerStore())
    book = book_of(GEOMETRY, store)
    secrets_of(book, [])
    theirs = np.array([[-OLD, 0]], np.float32)
    events = [lambda: store.inner.append_many([Append(MARKS, 0, theirs)])]
    store.before_append = lambda _: events.pop()() if events else None
    assert secrets_of(book, [NEW, OLD]) == [OLD]
    assert marks_of(store) == [-OLD]


def test_a_store_that_lost_a_secret_gets_it_back() -> None:
    """After a failover the mark stands before what was kept since."""
    store = StoreWithEvents(MemoryLedgerStore())
    meter = meter_of(GEOMETRY)
    book = book_of(GEOMETRY, store, meter=meter)
    assert secrets_of(book, [OLD]) == [OLD]
    level = np.array([[1.5, 0]], np.float32)
    store.inner = MemoryLedgerStore()
    store.inner.append_many([Append(MARKS, 0, level)])
    tail = ring(GEOMETRY, 1, 8)
    book.assess(batch_of([AccountPolicy("a")], tail, np.ones(len(tail), int)))
    assert secrets_of(book, [NEW, OLD]) == [OLD]
    assert marks_of(store)[:2] == [1.5, -OLD]
    assert marks_of(store)[-1] == meter.limit


def test_a_reset_forgets_the_secret() -> None:
    """An owner that begins anew begins under the current secret."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store)
    assert secrets_of(book, [OLD]) == [OLD]
    store.erase("a", [GEOMETRY.digest], 0)
    book.forget("a")
    assert secrets_of(book, [NEW, OLD]) == [NEW]
    assert marks_of(store) == [-NEW]


@pytest.mark.parametrize("is_exempt", [False, True])
def test_all_queries_of_an_owner_that_is_over_have_its_secret(is_exempt: bool) -> None:
    """The perturber answers them all, so that no time tells which are flagged."""
    policy = replace(keyed(), scope=Scope.QUERY, is_exempt=is_exempt)
    other = keyed("b")
    book = book_of(GEOMETRY, MemoryLedgerStore())
    spent = batch_of([policy], SPENT, np.zeros(len(SPENT), int))
    first = book.assess(replace(spent, secrets=(OLD,)))
    within = first.secrets == 0
    assert within.all() if is_exempt else 0 < within.sum() < len(SPENT)
    assert (first.verdicts == Verdict.REVERSE).any() is not np.bool_(is_exempt)
    points, labels = disc(GEOMETRY, 1, 2, 3), np.ones(3, int)
    queries = batch_of([policy, other], np.concatenate([points, points]), np.tile(labels, 2))
    queries = replace(queries, account_index=np.repeat([0, 1], 3), secrets=(OLD,))
    again = book.assess(queries)
    assert not (again.verdicts == Verdict.REVERSE).any()
    assert again.secrets.tolist() == [0 if is_exempt else OLD] * 3 + [0] * 3
