"""Records out of a store, and into another."""

from __future__ import annotations

import numpy as np
import pytest
from queen_sensitivity.admin.transfer import (
    ATTEMPTS,
    AccountRecords,
    add_account,
    read_account,
)
from queen_sensitivity.ledger_store import Append, LedgerKey, MemoryLedgerStore

from queen.errors import LedgerConflict
from queen.method.neighbors import nearest_distances
from tests.unit.sensitivity.admin.accounts import DIGEST, GEOMETRY, filled
from tests.unit.sensitivity.regions import (
    CLASSES,
    StoreWithEvents,
    book_of,
    disc,
    queries_of,
    stream,
)


def test_an_export_put_into_an_empty_store_is_the_same_account() -> None:
    """Bit for bit, in order, marks included; and a second import adds nothing."""
    store, target = MemoryLedgerStore(), MemoryLedgerStore()
    exported = filled(store)
    assert add_account(target, GEOMETRY, exported) == (exported.count, 0)
    before, after = store.load("a", DIGEST), target.load("a", DIGEST)
    for label in exported.classes.keys() | {CLASSES}:
        assert before[label].tobytes() == after[label].tobytes()
    assert add_account(target, GEOMETRY, exported) == (0, exported.count)
    assert read_account(target, GEOMETRY, "a").marks == exported.marks


@pytest.mark.parametrize(
    ("known", "incoming", "after"),
    [
        ([], [1.5, -7.0, -8.0, 3.0], [1.5, 3.0, -8.0]),
        ([-9.0], [1.5, -7.0], [-9.0, 1.5]),
        ([2.0], [1.5, -7.0], [2.0, -7.0]),
    ],
)
def test_a_secret_comes_along_unless_the_account_has_one(
    known: list[float], incoming: list[float], after: list[float]
) -> None:
    """The last one, which holds; levels rise beside it."""
    store = MemoryLedgerStore()
    if known:
        records = np.array([[mark, 0] for mark in known], np.float32)
        store.append_many([Append(LedgerKey("a", DIGEST, CLASSES), 0, records)])
    add_account(store, GEOMETRY, AccountRecords("a", {}, incoming))
    assert read_account(store, GEOMETRY, "a").marks == after


def test_a_union_keeps_all_records_farther_than_r_apart() -> None:
    """The account's own records stay in front; of the others only the novel ones are added."""
    store, other = MemoryLedgerStore(), MemoryLedgerStore()
    mine, theirs = filled(store, seed=1), filled(other, seed=2)
    outcome = add_account(store, GEOMETRY, theirs)
    assert outcome.added > 0 < outcome.covered
    assert outcome.added + outcome.covered == theirs.count
    union = read_account(store, GEOMETRY, "a")
    assert union.count == mine.count + outcome.added
    for label, records in union.classes.items():
        own = mine.classes.get(label, records[:0])
        assert records[: len(own)].tobytes() == own.tobytes()
        for row in range(1, len(records)):
            nearest = nearest_distances(records[:row], records[row : row + 1])[0]
            assert nearest > GEOMETRY.coverage_radius[label]
    assert max(union.marks) == max(*mine.marks, *theirs.marks)


def test_an_import_amid_a_writer_and_an_erasure_is_decided_again() -> None:
    """It never pushes records past a compare-and-set, nor into a generation that is over."""
    store = StoreWithEvents(MemoryLedgerStore())
    exported = filled(MemoryLedgerStore())
    theirs = disc(GEOMETRY, 0, 7, 1)
    events = [
        lambda: store.inner.append_many([Append(LedgerKey("a", DIGEST, 0), 0, theirs)]),
        lambda: store.inner.erase("a", [DIGEST], 0),
    ]
    store.before_append = lambda _: events.pop(0)() if events else None
    outcome = add_account(store, GEOMETRY, exported)
    assert not events
    assert read_account(store.inner, GEOMETRY, "a").count <= outcome.added
    stored = store.inner.load("a", DIGEST)
    assert theirs.tobytes() not in stored[0].tobytes()


def test_an_import_gives_up_where_other_writers_keep_winning() -> None:
    """After so many attempts the operator is told to try again."""
    store = StoreWithEvents(MemoryLedgerStore())
    exported = filled(MemoryLedgerStore())
    label = min(exported.classes)
    attempts = 0

    def win(_: object) -> None:
        nonlocal attempts
        key = LedgerKey("a", DIGEST, label)
        store.inner.append_many([Append(key, attempts, np.full((1, 2), 99.0, np.float32))])
        attempts += 1

    store.before_append = win
    with pytest.raises(LedgerConflict, match=str(ATTEMPTS)):
        add_account(store, GEOMETRY, exported)
    assert attempts == ATTEMPTS


def test_the_engine_goes_on_from_an_imported_ledger() -> None:
    """A budget that was spent elsewhere is spent here."""
    store, target = MemoryLedgerStore(), MemoryLedgerStore()
    batch = queries_of(*stream(GEOMETRY, 1, 2000))
    book_of(GEOMETRY, store).assess(batch)
    add_account(target, GEOMETRY, read_account(store, GEOMETRY, "a"))
    again = queries_of(*stream(GEOMETRY, 9, 300))
    expected, got = (book_of(GEOMETRY, held).assess(again) for held in (store, target))
    assert np.array_equal(expected.verdicts, got.verdicts)
