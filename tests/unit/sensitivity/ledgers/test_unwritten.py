"""Records in memory alone, while the store takes none: bounded, charged, and written back."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from queen_sensitivity.engine.book import LedgerBook
from queen_sensitivity.engine.charging import AccountPolicy, Queries
from queen_sensitivity.engine.wiring import Listeners
from queen_sensitivity.ledger_store import Append, LedgerKey, LedgerStore, MemoryLedgerStore
from queen_sensitivity.ledgers.account_cache import Recheck
from queen_sensitivity.ledgers.ledger_memory import UnwrittenRecords

from queen.failures import Failure
from queen.method.enforcement import Scope
from queen.method.ledger import Verdict
from tests.unit.sensitivity.regions import (
    FullStore,
    StoreWithEvents,
    Tally,
    batch_of,
    book_of,
    meter_of,
    queries_of,
    ring,
    small_geometry,
    stream,
    tallies,
)

GEOMETRY = small_geometry()
METER = meter_of(GEOMETRY)
NAMES = ("a", "b", "c")


class Held:
    """An engine over a store that can be full, with room for unwritten records."""

    def __init__(self, most: int, store: FullStore | None = None, **options: object) -> None:
        self.store = store or FullStore()
        self.counts = Counter[str]()
        self.book = self.open(most, self.store, **options)

    def open(self, most: int, store: LedgerStore, **options: object) -> LedgerBook:
        """An engine whose counts are kept."""
        repaired = Tally(self.counts, "repaired")
        unwritten = UnwrittenRecords(most, Tally(self.counts, "unwritten"))
        listeners = Listeners(tallies(self.counts), repaired, unwritten)
        return book_of(
            GEOMETRY,
            store,
            meter=METER,
            listeners=listeners,
            recheck=Recheck(0.0, lambda: 0.0),
            **options,
        )


def traffic(seed: int, rows: int = 90) -> Queries:
    """Queries of three accounts, two of them in a group."""
    policies = [AccountPolicy("a", group="us"), AccountPolicy("b", group="us"), AccountPolicy("c")]
    points, labels = stream(GEOMETRY, seed, rows)
    return batch_of(policies, points, labels, np.arange(rows) % 3)


def lists_of(store: MemoryLedgerStore) -> dict[tuple[str, int], bytes]:
    """All lists of the owners of `traffic`."""
    return {
        (owner, label): records.tobytes()
        for owner in (*NAMES, "group us")
        for label, records in store.load(owner, GEOMETRY.digest).items()
    }


def test_a_full_store_changes_no_verdict_and_gets_all_records_in_the_end() -> None:
    """As if it had never been full: verdicts, cqs, and the lists once they are written back."""
    held, other = Held(10_000), Held(0)
    tail = queries_of(ring(GEOMETRY, 1, 40), np.ones(40, int), accounts=("c",))
    batches = [traffic(1), traffic(2), tail, traffic(3)]
    for number, batch in enumerate(batches):
        held.store.is_full = number in {1, 2, 3}
        mine, wanted = held.book.assess(batch), other.book.assess(batch)
        assert mine.failures is None
        for name in ("verdicts", "causes", "cqs_before", "cqs_after"):
            assert np.array_equal(getattr(mine, name), getattr(wanted, name)), (number, name)
    assert Verdict.REVERSE in mine.verdicts
    assert held.counts["unwritten"] > 0
    before = lists_of(held.store)
    held.book.write_back()
    assert lists_of(held.store) == before
    held.store.is_full = False
    held.book.write_back()
    assert held.counts["unwritten"] == 0
    assert lists_of(held.store) == lists_of(other.store)
    assert (held.counts["regressed"], held.counts["repaired"]) == (0, 0)
    held.book.assess(traffic(4))
    other.book.assess(traffic(4))
    assert lists_of(held.store) == lists_of(other.store)


def test_beyond_the_bound_queries_are_refused() -> None:
    """The bound is on all owners together; what is held stays held."""
    held = Held(5)
    held.store.is_full = True
    failures = held.book.assess(traffic(1)).failures
    assert failures is not None
    assert Failure.LEDGER_FULL in failures
    assert 0 <= held.counts["unwritten"] <= 5


def test_an_account_with_unwritten_records_does_not_leave_memory() -> None:
    """Others do, and it leaves as any other once its records are in the store."""
    held = Held(1000, cached_accounts=2)
    held.store.is_full = True
    points, labels = stream(GEOMETRY, 1, 20, reach=0.9)
    held.book.assess(queries_of(points, labels, accounts=("held",)))
    outside, of_class = ring(GEOMETRY, 1, 1, reach=1.1), np.ones(1, int)
    for number in range(20):
        held.book.assess(queries_of(outside, of_class, accounts=(f"other-{number}",)))
    names = {account.owner for account in held.book.cache}
    assert names == {"held", "other-18", "other-19"}
    again = held.book.assess(queries_of(points, labels, accounts=("held",)))
    assert Verdict.RECORD not in again.verdicts
    held.store.is_full = False
    held.book.write_back()
    for number in range(4):
        held.book.assess(queries_of(outside, of_class, accounts=(f"new-{number}",)))
    assert {account.owner for account in held.book.cache} == {"new-2", "new-3"}


def test_an_erased_account_is_not_brought_back_by_what_was_held() -> None:
    """By the replica that is told, and by one that is not."""
    held = Held(1000)
    points, labels = stream(GEOMETRY, 1, 20, reach=0.9)
    for name in ("told", "untold"):
        held.store.is_full = True
        held.book.assess(queries_of(points, labels, accounts=(name,)))
        held.store.erase(name, [GEOMETRY.digest], 1)
        if name == "told":
            held.book.forget(name)
        held.store.is_full = False
        held.book.write_back()
        assert held.store.load(name, GEOMETRY.digest) == {}
        assert held.counts["unwritten"] == 0
        assert (
            Verdict.RECORD
            in held.book.assess(queries_of(points, labels, accounts=(name,))).verdicts
        )


def test_what_another_replica_recorded_meanwhile_is_kept_beside_what_was_held() -> None:
    """No record of a class covers another one, as ever."""
    held = Held(1000)
    held.store.is_full = True
    points, labels = stream(GEOMETRY, 1, 40, reach=0.9)
    held.book.assess(queries_of(points, labels))
    held.store.is_full = False
    book_of(GEOMETRY, held.store).assess(queries_of(*stream(GEOMETRY, 2, 40, reach=0.9)))
    held.book.write_back()
    for label, records in held.store.load("a", GEOMETRY.digest).items():
        if label < GEOMETRY.num_classes:
            gaps = np.linalg.norm(records[:, None] - records[None], axis=2)
            np.fill_diagonal(gaps, np.inf)
            assert gaps.min() > GEOMETRY.coverage_radius[label]
    assert held.counts["unwritten"] == 0


def test_a_damaged_list_ends_what_was_held_of_it() -> None:
    """Its account is refused then, and the records of others are written."""
    held = Held(1000)
    held.store.is_full = True
    points, labels = stream(GEOMETRY, 1, 40, reach=0.9)
    held.book.assess(queries_of(points, labels, np.arange(40) % 2, ("a", "b")))
    held.store.is_full = False
    nan = np.full((1, 2), np.nan, np.float32)
    held.store.append_many([Append(LedgerKey("a", GEOMETRY.digest, 0), 0, nan)])
    held.book.write_back()
    assert held.counts["unwritten"] == 0
    assert held.store.load("b", GEOMETRY.digest)
    failures = held.book.assess(queries_of(points[:1], labels[:1], accounts=("a",))).failures
    assert failures is not None
    assert failures.tolist() == [Failure.LEDGER_DAMAGED]


def test_a_store_that_is_away_holds_nothing_more() -> None:
    """Its lists cannot be compared: the queries fail as they would without this choice."""
    inner = FullStore()
    store = StoreWithEvents(inner)
    held = Held(1000)
    book = held.open(1000, store)
    points, labels = stream(GEOMETRY, 1, 40, reach=0.9)
    book.assess(queries_of(points[:10], labels[:10]))
    store.is_down = True
    failures = book.assess(queries_of(points, labels)).failures
    assert failures is not None
    assert set(failures.tolist()) == {0, int(Failure.STORE_AWAY)}
    assert held.counts["unwritten"] == 0


def test_under_refuse_what_is_held_counts() -> None:
    """The budget is spent by records in memory alone, and stays spent when they are written."""
    held = Held(10_000)
    held.store.is_full = True
    policy = AccountPolicy("a", scope=Scope.REPEATED)
    for seed in range(3):
        assessment = held.book.assess(batch_of([policy], *stream(GEOMETRY, seed, 300, reach=0.9)))
    assert Verdict.REVERSE in assessment.verdicts
    held.store.is_full = False
    held.book.write_back()
    fresh = book_of(GEOMETRY, held.store, meter=METER)
    again = fresh.assess(batch_of([policy], *stream(GEOMETRY, 9, 300, reach=0.9)))
    assert Verdict.RECORD not in again.verdicts


@pytest.mark.parametrize("most", [0, 3])
def test_the_room_is_counted_in_records(most: int) -> None:
    """Of all owners together; nothing is held where the operator chose none."""
    counts = Counter[str]()
    unwritten = UnwrittenRecords(most, Tally(counts, "level"))
    assert unwritten.hold("a", 2) is (most == 3)
    assert not unwritten.hold("b", 2)
    assert unwritten.hold("b", 1) is (most == 3)
    assert counts["level"] == unwritten.total == most
    unwritten.release("a")
    assert (len(unwritten), "a" in unwritten) == (int(most == 3), False)
