"""When an owner is over its budget: breadth, class cap, groups, and the order of rows."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from queen_sensitivity.engine.book import LedgerBook
from queen_sensitivity.engine.charging import AccountPolicy
from queen_sensitivity.engine.crossings import Crossing, CrossingKind
from queen_sensitivity.engine.wiring import Listeners
from queen_sensitivity.ledger_store import MemoryLedgerStore
from queen_sensitivity.ledgers.account_cache import Recheck

from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.method.enforcement import Cause, Scope
from queen.method.geometry import Geometry
from queen.method.ledger import Verdict
from tests.unit.sensitivity.regions import (
    batch_of,
    book_of,
    disc,
    open_store,
    small_geometry,
    stream,
)

GEOMETRY = small_geometry()
TWO = CrossingPolicy(6, 2, CAP_OFF)
SCOPES = st.sampled_from([Scope.QUERY, Scope.CLASS, Scope.ACCOUNT])
POLICIES = st.sampled_from([TWO, CrossingPolicy(6, 2, 2), CrossingPolicy(6, 1, 3)])
SEEDS = st.integers(0, 2**32 - 1)


def records_of(store: MemoryLedgerStore, owner: str = "a") -> dict[int, bytes]:
    """The records of an owner by class."""
    return {label: held.tobytes() for label, held in store.load(owner, GEOMETRY.digest).items()}


def ask(book: LedgerBook, policy: AccountPolicy, label: int, seed: int, count: int) -> np.ndarray:
    """Verdicts on queries of one class."""
    points = disc(GEOMETRY, label, seed, count)
    return book.assess(batch_of([policy], points, np.full(count, label))).verdicts


def test_a_crossed_class_records_until_its_owner_is_over() -> None:
    """One class alone never is enough; the second turns both, and the third is recorded on."""
    book = book_of(GEOMETRY, MemoryLedgerStore())
    policy = AccountPolicy("a", TWO)
    first = ask(book, policy, 0, 1, 40)
    assert Verdict.REVERSE not in first
    assert (first == Verdict.RECORD).sum() > 20
    second = ask(book, policy, 1, 2, 40)
    turned = second.tolist().index(Verdict.REVERSE)
    assert 4 < turned < 20
    assert Verdict.RECORD not in second[turned:]
    assert Verdict.RECORD not in ask(book, policy, 0, 3, 40)
    third = ask(book, policy, 2, 4, 40)
    assert third[0] == Verdict.RECORD
    assert (third == Verdict.RECORD).sum() < 12
    assert third[-1] != Verdict.RECORD


def test_a_class_at_its_cap_puts_its_owner_over_alone() -> None:
    """After as many budgets as the cap says, in that class; the cap of an owner is its own."""
    for class_cap, low, high in ((1, 4, 8), (2, 8, 15), (3, 14, 22)):
        store = MemoryLedgerStore()
        policy = AccountPolicy("a", CrossingPolicy(6, 2, class_cap))
        verdicts = ask(book_of(GEOMETRY, store), policy, 1, 1, 300)
        assert low < (verdicts == Verdict.RECORD).sum() < high
        assert verdicts[-1] != Verdict.RECORD
        assert Verdict.REVERSE in verdicts


def test_the_next_row_of_a_batch_is_reversed_in_another_class() -> None:
    """The row that puts its owner over is still recorded; rows before it are as they were."""
    book = book_of(GEOMETRY, MemoryLedgerStore())
    policy = AccountPolicy("a", TWO)
    ask(book, policy, 0, 1, 20)
    points = np.concatenate(
        [disc(GEOMETRY, 0, 2, 40)[:1], disc(GEOMETRY, 1, 3, 30), disc(GEOMETRY, 0, 4, 60)]
    )
    labels = np.repeat([0, 1, 0], [1, 30, 60])
    verdicts = book.assess(batch_of([policy], points, labels)).verdicts
    turned = verdicts.tolist().index(Verdict.REVERSE)
    assert labels[turned] == 1
    assert verdicts[turned - 1] == Verdict.RECORD
    assert Verdict.RECORD not in verdicts[turned:]
    assert Verdict.REVERSE in verdicts[31:]


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, policy=POLICIES, scope=SCOPES, cuts=st.lists(st.integers(1, 199), max_size=6))
def test_neither_cuts_nor_other_accounts_nor_evictions_change_a_verdict(
    seed: int, policy: CrossingPolicy, scope: Scope, cuts: list[int]
) -> None:
    """One batch, or several, with another account's rows between, and one account in memory."""
    embeddings, labels = stream(GEOMETRY, seed, 200, reach=0.95)
    own = AccountPolicy("a", policy, scope)
    whole = book_of(GEOMETRY, MemoryLedgerStore()).assess(batch_of([own], embeddings, labels))
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, cached_accounts=1)
    others, other_labels = stream(GEOMETRY, seed + 1, 200, reach=0.95)
    verdicts, causes = [], []
    bounds = sorted({0, 200, *cuts})
    for start, end in pairwise(bounds):
        part = slice(start, end)
        order = np.random.default_rng(seed).permutation(2 * (end - start))
        # Own rows keep their order among themselves.
        is_own = order < end - start
        points = np.empty((len(order), 2), np.float32)
        points[is_own], points[~is_own] = embeddings[part], others[part]
        mixed = np.empty(len(order), np.int64)
        mixed[is_own], mixed[~is_own] = labels[part], other_labels[part]
        accounts = [AccountPolicy("b", CrossingPolicy(3)), own]
        step = book.assess(batch_of(accounts, points, mixed, is_own.astype(int)))
        verdicts += step.verdicts[is_own].tolist()
        causes += step.causes[is_own].tolist()
        book.assess(batch_of([AccountPolicy("c")], others[:1], other_labels[:1]))
    assert verdicts == whole.verdicts.tolist()
    assert causes == whole.causes.tolist()


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, policy=POLICIES)
def test_the_scope_changes_no_record(seed: int, policy: CrossingPolicy) -> None:
    """Of the account and of its group, however far the reversal reaches."""
    kept = []
    for scope in (Scope.QUERY, Scope.CLASS, Scope.ACCOUNT):
        store = MemoryLedgerStore()
        own = AccountPolicy("a", policy, scope, "us", TWO)
        book_of(GEOMETRY, store).assess(batch_of([own], *stream(GEOMETRY, seed, 250, reach=0.95)))
        kept.append((records_of(store), records_of(store, "group us")))
    assert kept[0] == kept[1] == kept[2]


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, policy=POLICIES, turns=st.lists(st.booleans(), min_size=10, max_size=10))
def test_two_replicas_are_never_harsher_than_one(
    seed: int, policy: CrossingPolicy, turns: list[bool]
) -> None:
    """What a replica does not know yet of another class can only make it too mild."""
    embeddings, labels = stream(GEOMETRY, seed, 200, reach=0.95)
    own = AccountPolicy("a", policy)
    alone = book_of(GEOMETRY, MemoryLedgerStore())
    store = MemoryLedgerStore()
    pair = [book_of(GEOMETRY, store, recheck=Recheck(1e9)) for _ in range(2)]
    for turn, is_second in enumerate(turns):
        part = slice(20 * turn, 20 * turn + 20)
        batch = batch_of([own], embeddings[part], labels[part])
        expected, got = alone.assess(batch).verdicts, pair[is_second].assess(batch).verdicts
        assert not ((got == Verdict.REVERSE) & (expected != Verdict.REVERSE)).any()


def test_a_group_is_over_by_its_own_policy() -> None:
    """Its accounts stay under theirs; the cause says that it was the group."""
    book = book_of(GEOMETRY, MemoryLedgerStore())
    members = [
        AccountPolicy(name, CrossingPolicy(60), Scope.ACCOUNT, "us", CrossingPolicy(8, 2, CAP_OFF))
        for name in ("a", "b")
    ]
    first = book.assess(batch_of(members[:1], disc(GEOMETRY, 0, 1, 30), np.zeros(30, int)))
    assert Verdict.REVERSE not in first.verdicts
    second = book.assess(batch_of(members[1:], disc(GEOMETRY, 1, 2, 30), np.ones(30, int)))
    assert second.verdicts[-1] == Verdict.REVERSE
    assert set(second.causes.tolist()) == {0, Cause.GROUP}
    again = book.assess(batch_of(members[:1], disc(GEOMETRY, 2, 3, 5), np.full(5, 2)))
    assert (again.causes == Cause.GROUP).all()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_changed_policy_judges_the_records_as_they_are(kind: str, tmp_path: Path) -> None:
    """At once and after a restart: over follows from the records and the policy alone."""
    store = open_store(kind, tmp_path)
    book = book_of(GEOMETRY, store)
    broad = AccountPolicy("a", TWO, Scope.ACCOUNT)
    ask(book, broad, 0, 1, 30)
    probe = batch_of([broad], GEOMETRY.cluster_centers[[0, 2]], np.array([0, 2]))
    assert Verdict.REVERSE not in book.assess(probe).verdicts
    for crossing, is_over in (
        (CrossingPolicy(6, 1, CAP_OFF), True),
        (TWO, False),
        (CrossingPolicy(6, 2, 2), True),
        (CrossingPolicy(60, 1, CAP_OFF), False),
    ):
        policy = AccountPolicy("a", crossing, Scope.ACCOUNT)
        again = batch_of([policy], GEOMETRY.cluster_centers[[0, 2]], np.array([0, 2]))
        for engine in (book, book_of(GEOMETRY, store)):
            verdicts = engine.assess(again).verdicts
            assert (verdicts == Verdict.REVERSE).tolist() == [is_over, is_over]
    store.close()


def test_an_owner_that_is_over_is_announced_once_beside_its_classes() -> None:
    """By its breadth with the number of classes, by a cap with the class that passed it."""
    told: list[Crossing] = []
    book = book_of(GEOMETRY, MemoryLedgerStore(), listeners=Listeners(announce=told.extend))
    ask(book, AccountPolicy("a", TWO), 0, 1, 40)
    assert [one.kind for one in told] == [CrossingKind.THRESHOLD]
    for label in (1, 2):
        ask(book, AccountPolicy("a", TWO), label, 2, 40)
    kinds = [one.kind for one in told]
    assert kinds.count(CrossingKind.THRESHOLD) == 3
    (over,) = [one for one in told if one.kind is CrossingKind.BREADTH]
    assert (over.account_id, over.label, over.level, over.limit) == ("a", None, 2.0, 2.0)
    told.clear()
    for seed in (1, 2, 3):
        ask(book, AccountPolicy("b", CrossingPolicy(6, 2, 3)), 1, seed, 60)
    crossed, full = told
    assert (crossed.kind, crossed.label) == (CrossingKind.THRESHOLD, 1)
    assert (full.kind, full.account_id, full.label) == (CrossingKind.CLASS_CAP, "b", 1)
    assert full.level > full.limit > crossed.limit


@pytest.mark.parametrize(("classes", "needed"), [(2, 2), (10, 6)])
def test_a_breadth_of_6_is_spelt_out_for_2_and_10_classes(classes: int, needed: int) -> None:
    """The class with whose crossing the account is over."""
    centers = 10.0 * np.arange(classes)[:, None] * np.array([[1.0, 0.0]])
    geometry = Geometry(
        centers.astype(np.float32), np.ones(classes, np.float32), coverage_fraction=0.1
    )
    book = book_of(geometry, MemoryLedgerStore(), crossing=CrossingPolicy(4, 6, CAP_OFF))
    policy = AccountPolicy("a", scope=Scope.ACCOUNT)
    rng = np.random.default_rng(0)
    for crossed in range(1, needed + 1):
        label = crossed - 1
        points = centers[label] + rng.uniform(-0.6, 0.6, (30, 2))
        step = book.assess(batch_of([policy], points, np.full(30, label)))
        assert (Verdict.REVERSE in step.verdicts) == (crossed == needed)
