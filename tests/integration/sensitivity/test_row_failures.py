"""A micro-batch fails row by row: by the ledger that is damaged, or by the store without room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import structlog
from queen_sensitivity.engine.charging import AccountPolicy
from queen_sensitivity.ledger_store import (
    Append,
    AppendResult,
    Damaged,
    LedgerKey,
    MemoryLedgerStore,
    Records,
)

from queen.errors import DependencyUnavailable, LedgerCorrupt
from queen.failures import Failure
from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.method.enforcement import Scope
from queen.method.ledger import Assessment, Verdict
from queen.serving.logging import account_hash
from tests.unit.sensitivity.regions import (
    FullStore,
    StoreWithEvents,
    batch_of,
    book_of,
    meter_of,
    queries_of,
    ring,
    small_geometry,
    stream,
)

GEOMETRY = small_geometry()
AWAY, FULL, DAMAGED = (int(failure) for failure in Failure)
NAN = np.array([[np.nan, 0.0]], np.float32)
NARROW = np.array([[1.0]], np.float32)


class DamagedStore(MemoryLedgerStore):
    """A store in which the ledgers of the owners in `damaged` are none."""

    def __init__(self) -> None:
        super().__init__()
        self.damaged: set[str] = set()

    def load(self, account_id: str, geometry_digest: str) -> dict[int, Records]:
        """Refuse to make something of a damaged ledger."""
        if account_id in self.damaged:
            raise LedgerCorrupt("expected records of one width in a ledger, got several")
        return super().load(account_id, geometry_digest)

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """Append, but to damaged ledgers."""
        return [
            Damaged() if append.key.account_id in self.damaged else self._append(append)
            for append in appends
        ]


def failures_of(assessment: Assessment) -> list[int]:
    """The failures, row by row."""
    if assessment.failures is None:
        return [0] * len(assessment.verdicts)
    return assessment.failures.tolist()


def put(store: MemoryLedgerStore, owner: str, label: int, records: np.ndarray) -> None:
    """Records in the store that no engine made."""
    store.append_many([Append(LedgerKey(owner, GEOMETRY.digest, label), 0, records)])


@pytest.mark.parametrize(
    ("label", "records"), [(0, NAN), (1, NARROW), (3, NAN), (9, np.zeros((1, 2), np.float32))]
)
def test_a_damaged_ledger_fails_its_account_alone(label: int, records: np.ndarray) -> None:
    """NaN, another width, a damaged mark, an unknown class: its neighbors' verdicts are as ever."""
    store, healthy = MemoryLedgerStore(), MemoryLedgerStore()
    put(store, "b", label, records)
    points, labels = stream(GEOMETRY, 1, 60)
    owners = np.arange(60) % 3
    batch = queries_of(points, labels, owners, ("a", "b", "c"))
    with structlog.testing.capture_logs() as lines:
        book = book_of(GEOMETRY, store, meter=meter_of(GEOMETRY))
        for _ in range(3):
            assessment = book.assess(batch)
    expected = book_of(GEOMETRY, healthy, meter=meter_of(GEOMETRY))
    for _ in range(3):
        wanted = expected.assess(batch)
    others = owners != 1
    assert set(np.array(failures_of(assessment))[~others]) == {DAMAGED}
    assert not np.array(failures_of(assessment))[others].any()
    assert not assessment.verdicts[~others].any()
    for name in ("verdicts", "sqs", "cqs_before", "cqs_after", "causes"):
        assert np.array_equal(getattr(assessment, name)[others], getattr(wanted, name)[others])
    for name in ("a", "c"):
        kept, wanted_lists = (one.load(name, GEOMETRY.digest) for one in (store, healthy))
        assert {key: value.tobytes() for key, value in kept.items()} == {
            key: value.tobytes() for key, value in wanted_lists.items()
        }
    (line,) = lines
    assert (line["account_hash"], line["log_level"]) == (account_hash("b"), "error")
    assert "'b'" not in str(line)


def test_a_damaged_group_fails_its_members_alone() -> None:
    """Their queries are charged to the group; accounts outside of it are not."""
    store = MemoryLedgerStore()
    put(store, "group us", 0, NAN)
    policies = [
        AccountPolicy("a", group="us"),
        AccountPolicy("b", scope=Scope.REPEATED, group="us"),
        AccountPolicy("c"),
    ]
    points, labels = stream(GEOMETRY, 1, 30)
    assessment = book_of(GEOMETRY, store).assess(
        batch_of(policies, points, labels, np.arange(30) % 3)
    )
    assert failures_of(assessment) == [DAMAGED, DAMAGED, 0] * 10
    assert store.load("a", GEOMETRY.digest) == {}


def test_a_ledger_that_is_mended_is_used_again() -> None:
    """An erasure is enough, and so is a restored store."""
    store = DamagedStore()
    book = book_of(GEOMETRY, store)
    batch = queries_of(*stream(GEOMETRY, 1, 20, reach=0.9))
    store.damaged = {"a"}
    assert set(failures_of(book.assess(batch))) == {DAMAGED}
    store.damaged = set()
    assert Verdict.RECORD in book.assess(batch).verdicts


def test_damage_that_an_append_meets_fails_what_it_would_have_kept() -> None:
    """The other account's record is made; from then on the damaged account is refused."""
    store = DamagedStore()
    book = book_of(GEOMETRY, store)
    points, labels = stream(GEOMETRY, 1, 40, reach=0.9)
    owners = np.arange(40) % 2
    book.assess(queries_of(points[:4], labels[:4], owners[:4], ("a", "b")))
    store.damaged = {"a"}
    batch = queries_of(points, labels, owners, ("a", "b"))
    first = book.assess(batch)
    failures = np.array(failures_of(first))
    assert set(failures[owners == 0]) == {0, DAMAGED}
    assert not failures[owners == 1].any()
    assert Verdict.RECORD in first.verdicts[owners == 1]
    assert Verdict.RECORD not in first.verdicts[owners == 0]
    again = np.array(failures_of(book.assess(batch)))
    assert set(again[owners == 0]) == {DAMAGED}
    assert not again[owners == 1].any()


def test_a_full_store_fails_queries_that_it_would_have_to_keep() -> None:
    """All others have the verdict of an engine that never saw those, and nothing is charged."""
    store = FullStore()
    book = book_of(GEOMETRY, store)
    known, known_labels = stream(GEOMETRY, 1, 40)
    book.assess(queries_of(known, known_labels))
    before = {key: value.tobytes() for key, value in store.load("a", GEOMETRY.digest).items()}
    store.is_full = True
    points, labels = stream(GEOMETRY, 2, 200)
    points[::5], labels[::5] = known, known_labels
    # The same novel query twice: the first one is not kept, so it does not cover the second.
    points[1], labels[1] = points[-1], labels[-1]
    assessment = book.assess(queries_of(points, labels))
    failures = np.array(failures_of(assessment))
    assert set(failures) == {0, FULL}
    assert not failures[::5].any()
    assert failures[1] == failures[-1]
    alone = book_of(GEOMETRY, store)
    for row in range(200):
        judged = alone.assess(queries_of(points[row : row + 1], labels[row : row + 1]))
        assert failures_of(judged) == [failures[row]]
        assert judged.verdicts[0] == assessment.verdicts[row]
    assert {
        key: value.tobytes() for key, value in store.load("a", GEOMETRY.digest).items()
    } == before
    store.is_full = False
    back = book.assess(queries_of(points, labels))
    assert back.failures is None
    assert Verdict.RECORD in back.verdicts


def test_an_account_over_its_budget_stays_reversed_while_the_store_is_full() -> None:
    """Its novel queries need no record; a new account's do, and get no label for nothing."""
    store = FullStore()
    book = book_of(GEOMETRY, store, budget=4)
    spending = stream(GEOMETRY, 1, 400, reach=0.9)
    book.assess(queries_of(*spending))
    store.is_full = True
    points, labels = stream(GEOMETRY, 3, 60, reach=0.9)
    assessment = book.assess(queries_of(points, labels, np.arange(60) % 2, ("a", "new")))
    failures = np.array(failures_of(assessment)).reshape(-1, 2)
    assert not failures[:, 0].any()
    assert Verdict.REVERSE in assessment.verdicts[::2]
    assert (failures[:, 1] == FULL).all()


def test_under_refuse_a_spent_account_is_told_so_and_not_that_the_store_is_full() -> None:
    """Its queries change nothing, so they need no room."""
    store = FullStore()
    policies = [AccountPolicy("a", CrossingPolicy(4, 1, CAP_OFF), Scope.REPEATED, "us")]
    book = book_of(GEOMETRY, store)
    book.assess(batch_of(policies, *stream(GEOMETRY, 1, 400, reach=0.9)))
    store.is_full = True
    assessment = book.assess(batch_of(policies, *stream(GEOMETRY, 3, 30, reach=0.9)))
    assert assessment.failures is None
    assert Verdict.REVERSE in assessment.verdicts


def test_a_group_without_room_fails_the_query_that_its_account_covers() -> None:
    """Whoever must keep it: the account has it already, the group does not."""
    store = FullStore()
    book = book_of(GEOMETRY, store)
    points, labels = stream(GEOMETRY, 1, 20, reach=0.9)
    book.assess(batch_of([AccountPolicy("a")], points, labels))
    store.is_full = True
    member = AccountPolicy("a", group="us")
    assert set(failures_of(book.assess(batch_of([member], points, labels)))) == {FULL}
    observed = AccountPolicy("a", is_observed=True)
    assert set(failures_of(book.assess(batch_of([observed], points, labels)))) == {FULL}


def test_a_mark_that_cannot_be_kept_fails_the_queries_that_raised_it() -> None:
    """Queries outside of all regions are no records, and their meter is one."""
    store = FullStore()
    meter = meter_of(GEOMETRY)
    book = book_of(GEOMETRY, store, meter=meter)
    tail, inside = ring(GEOMETRY, 1, 40), GEOMETRY.cluster_centers[[1]]
    book.assess(queries_of(inside, np.array([1])))
    store.is_full = True
    points = np.concatenate([inside, tail])
    assessment = book.assess(queries_of(points, np.ones(len(points), int)))
    failures = failures_of(assessment)
    assert failures[0] == 0
    assert set(failures[1:]) == {FULL}
    store.is_full = False
    again = book.assess(queries_of(tail, np.ones(40, int)))
    assert again.failures is None
    marks = store.load("a", GEOMETRY.digest)[GEOMETRY.num_classes]
    assert len(marks)


def test_facts_of_a_failed_query_are_none() -> None:
    """A log must not replay them."""
    store = FullStore()
    store.is_full = True
    batch = replace(queries_of(*stream(GEOMETRY, 1, 30)), with_facts=True)
    assessment = book_of(GEOMETRY, store).assess(batch)
    failed = np.array(failures_of(assessment)) > 0
    assert assessment.facts is not None
    assert assessment.facts[failed].tobytes() == bytes(assessment.facts[failed].nbytes)
    assert assessment.facts["distances"][~failed].all()


def test_a_store_that_is_away_fails_what_needs_it_and_is_asked_once() -> None:
    """Accounts in memory keep the verdicts that need no record; a batch of others is an outage."""
    store = StoreWithEvents(MemoryLedgerStore())
    book = book_of(GEOMETRY, store)
    known, labels = stream(GEOMETRY, 1, 20, reach=0.9)
    book.assess(queries_of(known, labels))
    asked = []
    store.before_append = asked.append
    store.is_down = True
    new, new_labels = stream(GEOMETRY, 2, 20, reach=0.9)
    points, both = np.concatenate([known, new, known]), np.concatenate([labels, new_labels, labels])
    owners = np.repeat([0, 0, 1], 20)
    failures = np.array(failures_of(book.assess(queries_of(points, both, owners, ("a", "z")))))
    assert not failures[:20].any()
    assert set(failures[20:40]) == {0, AWAY}
    assert (failures[40:] == AWAY).all()
    assert asked == []
    with pytest.raises(DependencyUnavailable):
        book.assess(queries_of(known, labels, accounts=("z",)))


@pytest.mark.parametrize("kind", ["erased", "behind"])
def test_a_store_that_fails_while_memory_catches_up_fails_that_account_alone(kind: str) -> None:
    """The answer to an append is an erasure or another writer's tail, and then nothing answers."""
    inner = MemoryLedgerStore()
    store = StoreWithEvents(inner)
    book = book_of(GEOMETRY, store)
    points, labels = stream(GEOMETRY, 1, 40, reach=0.9)
    owners = np.arange(40) % 2
    book.assess(queries_of(points[:6], labels[:6], owners[:6], ("a", "b")))

    def interfere(_: Sequence[Append]) -> None:
        store.before_append = lambda _: None
        if kind == "erased":
            inner.erase("a", [GEOMETRY.digest], 1)
            store.after_append = go_down
        else:
            length = len(inner.load("a", GEOMETRY.digest).get(0, ()))
            inner.append_many([Append(LedgerKey("a", GEOMETRY.digest, 0), length, NAN)])

    def go_down() -> None:
        store.is_down = True

    store.before_append = interfere
    batch = queries_of(points, labels, owners, ("a", "b"))
    failures = np.array(failures_of(book.assess(batch)))
    assert failures[owners == 0].any()
    assert not failures[owners == 1].any()
    if kind == "erased":
        assert (failures[owners == 0] == AWAY).all()
    else:
        assert set(failures[owners == 0]) == {0, DAMAGED}
