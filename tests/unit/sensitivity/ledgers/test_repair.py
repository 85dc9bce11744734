"""A store that lost acknowledged records gets them back from a replica that knows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import structlog
from queen_sensitivity.engine.book import LedgerBook
from queen_sensitivity.engine.charging import AccountPolicy, Queries
from queen_sensitivity.engine.wiring import Listeners
from queen_sensitivity.ledger_store import Append, LedgerKey, MemoryLedgerStore
from queen_sensitivity.ledgers.account_cache import Recheck
from scipy.spatial.distance import pdist

from queen.errors import DependencyUnavailable, LedgerCorrupt, QueenError
from queen.failures import Failure
from queen.method.enforcement import Scope
from queen.method.ledger import Verdict
from queen.serving.logging import account_hash
from tests.unit.sensitivity.regions import (
    CLASSES,
    ForgetfulStore,
    StoreWithEvents,
    Tally,
    batch_of,
    book_of,
    disc,
    meter_of,
    queries_of,
    ring,
    small_geometry,
    stream,
    tallies,
)

GEOMETRY = small_geometry()
DIGEST = GEOMETRY.digest
METER = meter_of(GEOMETRY)
SPENDING = stream(GEOMETRY, 1, 2000)
ZEROS = np.zeros(40, int)


class Replica:
    """An engine with a clock of its own, and what it counted."""

    def __init__(self, store: Any, **options: Any) -> None:
        self.now = 0.0
        self.counts = Counter[str]()
        self.book: LedgerBook = book_of(
            GEOMETRY,
            store,
            recheck=Recheck(1.0, lambda: self.now),
            listeners=Listeners(
                appends=tallies(self.counts),
                repaired=Tally(self.counts, "repaired"),
            ),
            **options,
        )

    @property
    def repaired(self) -> int:
        """Records that were given back to the store."""
        return self.counts["repaired"]


AWAY = {0, int(Failure.STORE_AWAY)}
"""Failures of a batch of which some queries need the store, which does not answer."""


def failures_of(replica: Replica, queries: Queries) -> set[int]:
    """The failures of a batch."""
    failures = replica.book.assess(queries).failures
    assert failures is not None
    return set(failures.tolist())


def everything(store: MemoryLedgerStore, *accounts: str) -> dict[tuple[str, int], bytes]:
    """All lists of some accounts."""
    return {
        (account, label): records.tobytes()
        for account in accounts or ("a",)
        for label, records in store.load(account, DIGEST).items()
    }


def key_of(label: int, account: str = "a") -> LedgerKey:
    """The key of one list."""
    return LedgerKey(account, DIGEST, label)


def test_a_spent_account_gets_its_records_back_within_a_while() -> None:
    """It appends nothing any more; it is asked about, repaired, counted and told of in the log."""
    store = ForgetfulStore()
    replica = Replica(store)
    replica.book.assess(queries_of(*SPENDING))
    before = everything(store)
    lost = sum(store.truncate(key_of(label), 2) for label in range(CLASSES))
    replica.now = 0.9
    replica.book.assess(queries_of(*stream(GEOMETRY, 9, 50)))
    assert everything(store) != before
    replica.now = 1.0
    with structlog.testing.capture_logs() as lines:
        answer = replica.book.assess(queries_of(*stream(GEOMETRY, 9, 50)))
    assert everything(store) == before
    assert Verdict.REVERSE in answer.verdicts
    assert replica.counts["regressed"] == CLASSES
    assert replica.repaired == lost
    (line,) = lines
    assert line["log_level"] == "warning"
    assert (line["account_hash"], line["records"]) == (account_hash("a"), lost)


def test_a_fresh_replica_is_too_mild_until_the_one_that_knows_is_asked() -> None:
    """What it recorded in between stays, and is no second charge for what was lost."""
    store = ForgetfulStore()
    old, fresh = Replica(store), Replica(store)
    old.book.assess(queries_of(*SPENDING))
    for label in range(CLASSES):
        store.truncate(key_of(label), 2)
    early = fresh.book.assess(queries_of(*stream(GEOMETRY, 5, 60)))
    assert Verdict.RECORD in early.verdicts
    old.now = 1.0
    old.book.assess(queries_of(*SPENDING))
    kept = store.load("a", DIGEST)
    for label, records in kept.items():
        assert pdist(records.astype(np.float64)).min() > GEOMETRY.coverage_radius[label]
    for replica in (old, fresh):
        replica.now += 1.0
        answer = replica.book.assess(queries_of(*stream(GEOMETRY, 5, 60)))
        assert Verdict.RECORD not in answer.verdicts
    again = book_of(GEOMETRY, store).assess(queries_of(*stream(GEOMETRY, 6, 60)))
    known = old.book.assess(queries_of(*stream(GEOMETRY, 6, 60)))
    assert np.array_equal(again.verdicts, known.verdicts)
    assert np.array_equal(again.cqs_before, known.cqs_before)


def test_a_list_of_the_same_length_with_other_records_is_noticed() -> None:
    """Others recorded as many as were lost: the next append meets another record before its own."""
    store = ForgetfulStore()
    knowing, behind = Replica(store, budget=60), Replica(store, budget=60)
    points = disc(GEOMETRY, 0, 3, 30)
    behind.book.assess(queries_of(points[:1], ZEROS[:1]))
    knowing.book.assess(queries_of(points[:6], ZEROS[:6]))
    mine = store.load("a", DIGEST)[0]
    lost = store.truncate(key_of(0), 1)
    far = [one for one in points[6:] if np.linalg.norm(mine - one, axis=1).min() > 0.2][:lost]
    behind.book.assess(queries_of(np.array(far), ZEROS[:lost]))
    assert len(store.load("a", DIGEST)[0]) == len(mine)
    knowing.book.assess(queries_of(disc(GEOMETRY, 0, 4, 8), ZEROS[:8]))
    kept = store.load("a", DIGEST)[0]
    assert {one.tobytes() for one in mine} <= {one.tobytes() for one in kept}
    assert pdist(kept.astype(np.float64)).min() > GEOMETRY.coverage_radius[0]
    outside = queries_of(np.full((1, 2), 99.0), ZEROS[:1])
    whole = book_of(GEOMETRY, store, budget=60).assess(outside)
    assert np.array_equal(whole.cqs_before, knowing.book.assess(outside).cqs_before)


def test_marks_of_the_meter_come_back_too() -> None:
    """An account that is off-distribution appends no mark any more."""
    store = ForgetfulStore()
    replica = Replica(store, meter=METER)
    far = batch_of([AccountPolicy("a", scope=Scope.ACCOUNT)], ring(GEOMETRY, 0, 40), ZEROS)
    replica.book.assess(far)
    before = everything(store)
    assert store.truncate(key_of(CLASSES), 0) == 1
    replica.now = 1.0
    replica.book.assess(far)
    assert everything(store) == before
    fresh = book_of(GEOMETRY, store, meter=METER)
    assert Verdict.REVERSE in fresh.assess(far).verdicts


def test_all_spent_accounts_of_a_batch_are_asked_about_in_one_round_trip() -> None:
    """Only their spent lists, and without a load."""
    store = StoreWithEvents(MemoryLedgerStore())
    replica = Replica(store)
    names, owners = ["a", "b", "c"], np.arange(6000) % 3
    embeddings, labels = stream(GEOMETRY, 1, 6000)
    replica.book.assess(queries_of(embeddings, labels, owners, names))
    replica.now, loads, appends = 1.0, store.loads, len(store.appends)
    replica.book.assess(queries_of(embeddings[:60], labels[:60], owners[:60], names))
    assert store.loads == loads
    (asked,) = store.appends[appends:]
    assert {append.key.account_id for append in asked} == set(names)
    assert not any(len(append.records) for append in asked)
    assert replica.repaired == 0


def test_a_loss_of_one_account_makes_the_others_doubtful() -> None:
    """An account whose queries record nothing is repaired at its next touch, spent or not."""
    store = ForgetfulStore()
    replica = Replica(store)
    embeddings, labels = stream(GEOMETRY, 1, 30, reach=0.9)
    replica.book.assess(queries_of(embeddings, labels, [0] * 15 + [1] * 15, ["a", "b"]))
    before = everything(store, "b")
    for account in ("a", "b"):
        for label in range(CLASSES):
            store.truncate(key_of(label, account), 1)
    replica.book.assess(queries_of(*stream(GEOMETRY, 2, 30, reach=0.9)))
    assert everything(store, "b") != before
    replay = replica.book.assess(queries_of(embeddings[15:], labels[15:], accounts=["b"]))
    assert Verdict.RECORD not in replay.verdicts
    assert everything(store, "b") == before


def test_records_that_went_with_the_server_a_batch_failed_on_come_back() -> None:
    """The failover that loses records is the one that a batch fails in: what was known is kept."""
    inner = ForgetfulStore()
    store = StoreWithEvents(inner)
    replica = Replica(store, meter=METER)
    batch = queries_of(*stream(GEOMETRY, 1, 30, reach=0.9))
    replica.book.assess(batch)
    before = everything(inner)
    store.is_down = True
    assert failures_of(replica, queries_of(*stream(GEOMETRY, 2, 30, reach=0.9))) == AWAY
    with pytest.raises(DependencyUnavailable):
        replica.book.assess(batch)
    for label in range(CLASSES):
        inner.truncate(key_of(label), 1)
    store.is_down = False
    answer = replica.book.assess(batch)
    assert Verdict.RECORD not in answer.verdicts
    assert everything(inner) == before
    assert replica.counts["regressed"] > 0


def test_what_is_kept_after_failures_is_bounded() -> None:
    """As many accounts as are cached, the latest."""
    store = StoreWithEvents(MemoryLedgerStore())
    replica = Replica(store, cached_accounts=2)
    for name in ("a", "b", "c", "d"):
        store.before_append = lambda _: None
        replica.book.assess(queries_of(*stream(GEOMETRY, 1, 5), accounts=[name]))
        store.before_append = _fail
        batch = queries_of(*stream(GEOMETRY, 2, 30), accounts=[name])
        assert failures_of(replica, batch) == AWAY
    assert replica.book.cache.aside == ["c", "d"]


@pytest.mark.parametrize("way", ["asked about", "after a failure"])
def test_an_erased_account_is_never_brought_back(way: str) -> None:
    """What a replica knows is of an older generation: the store refuses it, however it is sent."""
    inner = MemoryLedgerStore()
    store = StoreWithEvents(inner)
    replica = Replica(store)
    replica.book.assess(queries_of(*SPENDING))
    if way == "after a failure":
        store.is_down = True
        both = queries_of(*stream(GEOMETRY, 2, 4), [0, 0, 1, 1], ["a", "b"])
        assert failures_of(replica, both) == AWAY
        store.is_down = False
    inner.erase("a", [DIGEST], 0)
    replica.now = 5.0
    replica.book.assess(queries_of(np.full((1, 2), 99.0), np.zeros(1, int)))
    assert inner.load("a", DIGEST) == {}
    assert replica.repaired == 0
    assert Verdict.RECORD in replica.book.assess(queries_of(*SPENDING)).verdicts


def test_an_erasure_in_the_middle_of_a_repair_wins() -> None:
    """The account goes between the question and the append: nothing is given back."""
    inner = ForgetfulStore()
    store = StoreWithEvents(inner)
    replica = Replica(store)
    replica.book.assess(queries_of(*SPENDING))
    for label in range(CLASSES):
        inner.truncate(key_of(label), 0)
    calls = 0

    def erase_at_the_second(appends: Sequence[Append]) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            assert any(len(append.records) for append in appends)
            inner.erase("a", [DIGEST], 0)

    store.before_append = erase_at_the_second
    replica.now = 1.0
    replica.book.assess(queries_of(np.full((1, 2), 99.0), np.zeros(1, int)))
    assert calls >= 2
    assert inner.load("a", DIGEST) == {}
    assert replica.repaired == 0


def test_a_store_that_lost_an_erasure_too_gets_only_what_came_after_it() -> None:
    """The old records that came back with the old state go again."""
    inner = ForgetfulStore()
    store = StoreWithEvents(inner)
    replica = Replica(store)
    replica.book.assess(queries_of(*stream(GEOMETRY, 3, 40)))
    snapshot = inner.snapshot()
    inner.erase("a", [DIGEST], 0)
    replica.book.forget("a")
    replica.book.assess(queries_of(*SPENDING))
    before = everything(inner)
    inner.restore(snapshot)
    replica.now = 1.0
    replica.book.assess(queries_of(*SPENDING))
    assert everything(inner) == before


def test_a_repair_that_fails_is_made_up_for_later() -> None:
    """The verdict comes from memory, and the next question finds what is still missing."""
    inner = ForgetfulStore()
    store = StoreWithEvents(inner)
    replica = Replica(store)
    replica.book.assess(queries_of(*SPENDING))
    before = everything(inner)
    for label in range(CLASSES):
        inner.truncate(key_of(label), 1)
    store.before_append = lambda appends: _fail(appends) if len(appends[0].records) else None
    replica.now = 1.0
    assert Verdict.REVERSE in replica.book.assess(queries_of(*SPENDING)).verdicts
    assert everything(inner) != before
    store.before_append = lambda _: None
    replica.now = 2.0
    replica.book.assess(queries_of(*SPENDING))
    assert everything(inner) == before


@pytest.mark.parametrize(
    "problem",
    [
        DependencyUnavailable("expected an answer, got none"),
        LedgerCorrupt("the ledger file is damaged"),
    ],
)
def test_a_spent_account_stays_reversed_while_the_store_cannot_be_asked(
    problem: QueenError,
) -> None:
    """A store that does not answer, or is damaged, gives a spent account no true label."""
    store = StoreWithEvents(ForgetfulStore())
    replica = Replica(store)
    replica.book.assess(queries_of(*SPENDING))
    expected = replica.book.assess(queries_of(*SPENDING)).verdicts
    assert Verdict.REVERSE in expected

    def fail(_: Sequence[Append]) -> None:
        raise problem

    store.before_append = fail
    replica.now = 1.0
    assert np.array_equal(replica.book.assess(queries_of(*SPENDING)).verdicts, expected)


def test_two_replicas_that_repair_at_once_append_once() -> None:
    """The slower one finds nothing missing."""
    inner = ForgetfulStore()
    store = StoreWithEvents(inner)
    slow, fast = Replica(store), Replica(inner)
    for replica in (slow, fast):
        replica.book.assess(queries_of(*SPENDING))
    before = everything(inner)
    for label in range(CLASSES):
        inner.truncate(key_of(label), 1)
    slow.now = fast.now = 1.0

    def other_first(appends: Sequence[Append]) -> None:
        if len(appends[0].records):
            store.before_append = lambda _: None
            fast.book.assess(queries_of(*SPENDING))

    store.before_append = other_first
    slow.book.assess(queries_of(*SPENDING))
    assert everything(inner) == before
    assert fast.repaired > 0
    assert slow.repaired == 0


def _fail(_: Sequence[Append]) -> None:
    raise DependencyUnavailable("expected an answer, got none")
