"""Appends to the store, and the memory after them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from queen_sensitivity.engine.book import LedgerStep
from queen_sensitivity.engine.charging import AccountPolicy
from queen_sensitivity.engine.recording import NewRecords, Recorder
from queen_sensitivity.ledger_store import Append, LedgerKey, LedgerStore, MemoryLedgerStore
from queen_sensitivity.ledgers.ledger_memory import UnwrittenRecords
from queen_sensitivity.metrics import CAS_RESULTS

from queen.errors import LedgerConflict
from tests.unit.sensitivity.engine.batches import Room, room_over
from tests.unit.sensitivity.regions import (
    StoreWithEvents,
    Tally,
    batch_of,
    disc,
    small_geometry,
    stream,
    tallies,
)

GEOMETRY = small_geometry()
METER = GEOMETRY.num_classes
ONE_QUERY = batch_of([AccountPolicy("a")], GEOMETRY.cluster_centers[:1], np.zeros(1, int))


def recorder_of(room: Room, store: LedgerStore, counts: Counter[str]) -> Recorder:
    """A recorder that counts the answers of its store."""
    unwritten = UnwrittenRecords(0, Tally(counts, "unwritten"))
    return Recorder(room.memory, store, room.cache, tallies(counts), unwritten)


def test_records_go_to_the_store_and_then_to_the_memory() -> None:
    """Both hold the same bytes, ledger by ledger, and no ledger was lost."""
    store, counts = MemoryLedgerStore(), Counter[str]()
    room = room_over(GEOMETRY, store)
    batch = room.open(batch_of([AccountPolicy("a")], *stream(GEOMETRY, 1, 40)))
    rows = np.arange(40)
    step = LedgerStep(GEOMETRY, room.memory.index).decide(batch, rows)
    assert recorder_of(room, store, counts).record(batch, rows, step) == []
    (account,) = batch.accounts
    for label, records in store.load("a", GEOMETRY.digest).items():
        assert account.records(label).tobytes() == records.tobytes()
    assert room.memory.ledgers.total == len(step.recorded) > 5
    assert counts == {"appended": 3}
    assert counts.keys() <= set(CAS_RESULTS)
    assert np.array_equal(batch.snapshot.cqs, room.memory.ledgers.cqs[batch.snapshot.numbers])


def test_a_ledger_that_another_writer_changed_comes_back_caught_up() -> None:
    """Its records are in memory, ours are not; the other ledgers of the batch are recorded."""
    store, counts = MemoryLedgerStore(), Counter[str]()
    room = room_over(GEOMETRY, store)
    batch = room.open(batch_of([AccountPolicy("a")], GEOMETRY.cluster_centers, np.arange(3)))
    theirs = disc(GEOMETRY, 1, 5, 3)
    store.append_many([Append(LedgerKey("a", GEOMETRY.digest, 1), 0, theirs)])
    rows = np.arange(3)
    step = LedgerStep(GEOMETRY, room.memory.index).decide(batch, rows)
    assert recorder_of(room, store, counts).record(batch, rows, step) == [1]
    (account,) = batch.accounts
    assert account.records(1).tobytes() == theirs.tobytes()
    assert [len(account.records(label)) for label in (0, 2)] == [1, 1]
    assert counts == {"appended": 2, "conflict": 1}


def test_an_account_that_was_erased_comes_back_with_all_its_ledgers() -> None:
    """In the new generation, with nothing of what was in memory."""
    store, counts = MemoryLedgerStore(), Counter[str]()
    store.append_many([Append(LedgerKey("a", GEOMETRY.digest, 0), 0, disc(GEOMETRY, 0, 5, 3))])
    room = room_over(GEOMETRY, store)
    batch = room.open(batch_of([AccountPolicy("a")], GEOMETRY.cluster_centers[1:], np.arange(1, 3)))
    store.erase("a", [GEOMETRY.digest], 4)
    rows = np.arange(2)
    step = LedgerStep(GEOMETRY, room.memory.index).decide(batch, rows)
    lost = recorder_of(room, store, counts).record(batch, rows, step)
    assert set(lost) == {0, 1}
    (account,) = batch.accounts
    assert (account.generation, account.labels) == (4, [])
    assert counts == {"renewed": 2}


def test_a_mark_that_is_surpassed_is_not_kept() -> None:
    """Another replica's mark that is as high makes ours needless; a lower one does not."""
    store, counts = MemoryLedgerStore(), Counter[str]()
    room = room_over(GEOMETRY, store)
    batch = room.open(ONE_QUERY)
    recorder, (account,) = recorder_of(room, store, counts), batch.accounts
    key = LedgerKey("a", GEOMETRY.digest, METER)
    store.append_many([Append(key, 0, account.meter.as_record(5.0))])
    recorder.keep_mark(batch, 0, 4.0)
    assert account.meter.marks == [5.0]
    recorder.keep_mark(batch, 0, 6.0)
    assert store.load("a", GEOMETRY.digest)[METER][:, 0].tolist() == [5.0, 6.0]
    assert counts == {"conflict": 1, "appended": 1}
    assert batch.snapshot.peaks.tolist() == [6.0]


def test_marks_that_never_get_through_end_in_a_conflict() -> None:
    """A writer whose marks stay lower and always come first."""
    truth = MemoryLedgerStore()
    store = StoreWithEvents(truth)
    room = room_over(GEOMETRY, store)
    batch = room.open(ONE_QUERY)
    (account,) = batch.accounts

    def lower_mark(appends: Sequence[Append]) -> None:
        version, key = appends[0].expected_version, appends[0].key
        truth.append_many([Append(key, version, account.meter.as_record(0.01 * version))])

    store.before_append = lower_mark
    with pytest.raises(LedgerConflict, match="on a meter"):
        recorder_of(room, store, Counter()).keep_mark(batch, 0, 8.0)


def test_new_records_are_parted_and_selected_by_ledger() -> None:
    """Rows and weights go with their ledger."""
    records = np.arange(12, dtype=np.float32).reshape(6, 2)
    new = NewRecords(np.array([3, 5, 8]), np.array([1, 3, 2]), records, np.arange(6.0))
    assert [part.tolist() for part in new.by_ledger()] == [
        records[:1].tolist(),
        records[1:4].tolist(),
        records[4:].tolist(),
    ]
    some = new.select(np.array([True, False, True]))
    assert some.ledgers.tolist() == [3, 8]
    assert some.counts.tolist() == [1, 2]
    assert some.weights.tolist() == [0.0, 4.0, 5.0]
