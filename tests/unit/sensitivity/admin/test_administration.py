"""Reset, delete, export, import, audit and watch, without a transport."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import numpy as np
import pytest
import structlog
from queen_sensitivity.admin.administration import Administration
from queen_sensitivity.admin.audit import Audit, Mandate
from queen_sensitivity.admin.crossing_feed import MOST_WATCHERS, CrossingFeed, Missed, Seen
from queen_sensitivity.admin.decode import read_place, write_token
from queen_sensitivity.admin.transfer import AccountRecords, add_account, read_account
from queen_sensitivity.engine.crossings import Crossing
from queen_sensitivity.ledger_store import Append, LedgerKey, MemoryLedgerStore

from queen.errors import AccountNotFound, DependencyUnavailable, InvalidQuery, Overloaded
from queen.method.neighbors import nearest_distances
from queen.serving.logging import account_hash
from tests.unit.sensitivity.regions import (
    CLASSES,
    StoreWithEvents,
    book_of,
    disc,
    meter_of,
    queries_of,
    ring,
    small_geometry,
    stream,
)

GEOMETRY = small_geometry()
DIGEST = GEOMETRY.digest
BY = Mandate("ana", "ticket 7")
NOON = datetime(2025, 1, 2, 12, tzinfo=UTC)


def administration_of(store: MemoryLedgerStore, forgotten: list[str]) -> Administration:
    """An administration whose audit is made at noon."""
    audit = Audit(store, lambda: NOON)
    return Administration(GEOMETRY, store, audit, forgotten.append, lambda: 1000)


def filled(store: MemoryLedgerStore, account: str = "a", seed: int = 1) -> AccountRecords:
    """The store with an account of 60 queries and a mark."""
    book = book_of(GEOMETRY, store, meter=meter_of(GEOMETRY), budget=60)
    book.assess(queries_of(*stream(GEOMETRY, seed, 60), accounts=[account]))
    book.assess(queries_of(ring(GEOMETRY, 0, 5), np.zeros(5, int), accounts=[account]))
    return read_account(store, GEOMETRY, account)


def test_a_reset_empties_what_is_in_service_and_nothing_else() -> None:
    """Records and marks go under this geometry; the engine of the process forgets the account."""
    store, forgotten = MemoryLedgerStore(), []
    before, other = filled(store), filled(store, "b")
    store.append_many([Append(LedgerKey("a", "old", 0), 0, np.zeros((2, 2), np.float32))])
    erased = administration_of(store, forgotten).reset("a", BY)
    assert erased.records == before.count > 10
    assert before.marks
    assert store.load("a", DIGEST) == {}
    assert store.generations(["a"], DIGEST) == [1000]
    assert len(store.load("a", "old")[0]) == 2
    assert read_account(store, GEOMETRY, "b").count == other.count
    assert forgotten == ["a"]


def test_a_deletion_reaches_every_geometry_and_can_be_repeated() -> None:
    """An attempt whose answer was lost is made again; it finds nothing and is no error."""
    store = MemoryLedgerStore()
    before = filled(store)
    store.append_many([Append(LedgerKey("a", "old", 0), 0, np.zeros((2, 2), np.float32))])
    acting = administration_of(store, [])
    assert acting.delete("a", BY) == (before.count + 2, 2)
    assert store.load("a", "old") == store.load("a", DIGEST) == {}
    assert acting.delete("a", BY) == (0, 0)


@pytest.mark.parametrize("act", ["reset", "delete"])
def test_an_unknown_account_is_not_found_and_leaves_no_trace(act: str) -> None:
    """Neither a generation nor an audit entry is made of a slip of the hand."""
    store = MemoryLedgerStore()
    with pytest.raises(AccountNotFound):
        getattr(administration_of(store, []), act)("nobody", BY)
    assert store.geometries("nobody") == []
    assert store.read_audit(0, 5) == []


def test_every_act_is_in_the_store_and_in_the_log_without_the_account_id() -> None:
    """Who, why, what and when; the account as logs name it, and how much it had."""
    store = MemoryLedgerStore()
    exported = filled(store, "who-it-is")
    acting = administration_of(store, [])
    with structlog.testing.capture_logs() as lines:
        acting.reset("who-it-is", BY)
        acting.take_over([exported], BY)
        acting.delete("who-it-is", BY)
    entries, has_more = Audit(store).page(0, 2)
    assert has_more
    entries += Audit(store).page(2, 2)[0]
    assert [entry.action for entry in entries] == ["reset", "import", "delete"]
    assert [entry.records_before for entry in entries] == [exported.count, 0, exported.count]
    for entry, line in zip(entries, lines, strict=True):
        assert (entry.time, entry.actor, entry.reason) == (NOON.isoformat(), "ana", "ticket 7")
        assert entry.account_hash == account_hash("who-it-is")
        assert line["logger"] == "audit"
        assert line["account_hash"] == entry.account_hash
        assert "who-it-is" not in json.dumps(line)
    assert b"who-it-is" not in b"".join(store.read_audit(0, 9))


def test_no_act_without_its_audit_entry() -> None:
    """A store that does not keep the entry keeps the records, too."""
    store = MemoryLedgerStore()
    before = filled(store)

    def fail(_: bytes) -> None:
        raise DependencyUnavailable("expected an answer, got none")

    store.append_audit = fail  # type: ignore[method-assign]
    with pytest.raises(DependencyUnavailable):
        administration_of(store, []).reset("a", BY)
    assert read_account(store, GEOMETRY, "a").count == before.count


def test_an_export_put_into_an_empty_store_is_the_same_account() -> None:
    """Bit for bit, in order, marks included; and a second import adds nothing."""
    store, target = MemoryLedgerStore(), MemoryLedgerStore()
    exported = filled(store)
    assert add_account(target, GEOMETRY, exported) == (exported.count, 0)
    for each in exported.classes.keys() | {CLASSES}:
        assert store.load("a", DIGEST)[each].tobytes() == target.load("a", DIGEST)[each].tobytes()
    assert add_account(target, GEOMETRY, exported) == (0, exported.count)
    assert read_account(target, GEOMETRY, "a").marks == exported.marks


def test_a_union_keeps_all_records_farther_than_r_apart() -> None:
    """What was there stays in front; of what comes, only the novel is added."""
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
        for place in range(1, len(records)):
            nearest = nearest_distances(records[:place], records[place : place + 1])[0]
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


def test_the_engine_goes_on_from_an_imported_ledger() -> None:
    """A budget that was spent elsewhere is spent here."""
    store, target = MemoryLedgerStore(), MemoryLedgerStore()
    batch = queries_of(*stream(GEOMETRY, 1, 2000))
    book_of(GEOMETRY, store).assess(batch)
    add_account(target, GEOMETRY, read_account(store, GEOMETRY, "a"))
    again = queries_of(*stream(GEOMETRY, 9, 300))
    expected, found = (book_of(GEOMETRY, each).assess(again) for each in (store, target))
    assert np.array_equal(expected.verdicts, found.verdicts)


def seen(number: int) -> Seen:
    """A crossing that is told from others by its level."""
    return Seen(Crossing("a", 0, float(number), 0.5), 42)


async def test_watchers_get_what_is_published_while_they_watch() -> None:
    """From another thread, in order, each of them all of it."""
    loop = asyncio.get_running_loop()
    feed = CrossingFeed(loop, clock_nanos=lambda: 42)
    feed.publish([seen(0).crossing])
    with feed.watching() as first, feed.watching() as second:
        await loop.run_in_executor(None, feed.publish, [seen(1).crossing, seen(2).crossing])
        for watcher in (first, second):
            assert [await watcher.take(), await watcher.take()] == [seen(1), seen(2)]


async def test_a_slow_watcher_is_told_how_many_events_it_missed() -> None:
    """What fits is kept, the gap is counted, and what follows comes after it."""
    feed = CrossingFeed(asyncio.get_running_loop(), capacity=2, clock_nanos=lambda: 42)
    with feed.watching() as watcher:
        for number in range(5):
            watcher.offer(seen(number))
        assert [await watcher.take() for _ in range(3)] == [seen(0), seen(1), Missed(3)]
        watcher.offer(seen(9))
        assert await watcher.take() == seen(9)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watcher.take(), 0.01)


async def test_watchers_are_bounded() -> None:
    """One more than there may be is refused; one that ends makes room."""
    feed = CrossingFeed(asyncio.get_running_loop())
    watches = [feed.watching() for _ in range(MOST_WATCHERS)]
    for watch in watches:
        watch.__enter__()
    with pytest.raises(Overloaded), feed.watching():
        pass
    watches[0].__exit__(None, None, None)
    with feed.watching():
        pass


def test_a_token_of_the_audit_is_a_place() -> None:
    """Another text is refused in words."""
    assert read_place("") == 0
    assert read_place(write_token("30")) == 30
    for text in ("x", write_token("a"), write_token("-1"), write_token("9" * 40)):
        with pytest.raises(InvalidQuery, match="page_token"):
            read_place(text)
