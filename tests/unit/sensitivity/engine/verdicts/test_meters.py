"""The off-distribution meters of the owners of a batch, and the marks that are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from queen_sensitivity.engine.charging import AccountPolicy, Queries
from queen_sensitivity.ledger_store import Append, LedgerKey, MemoryLedgerStore
from queen_sensitivity.survey.accounts import AccountReader

from queen.errors import DependencyUnavailable
from queen.method.crossing import CrossingPolicy
from queen.method.enforcement import Cause, Scope
from queen.method.ledger import Verdict
from tests.unit.sensitivity.regions import (
    StoreWithEvents,
    batch_of,
    book_of,
    counting,
    disc,
    meter_of,
    open_store,
    ring,
    small_geometry,
    stream,
)

GEOMETRY = small_geometry()
METER = meter_of(GEOMETRY)
MARKS = LedgerKey("a", GEOMETRY.digest, GEOMETRY.num_classes)
TAIL = ring(GEOMETRY, 1, 40)
NEEDED = 8
"""Different tail queries in a row until the level is at the limit: 12 / ln 5."""


def asked(points: np.ndarray, scope: Scope = Scope.ACCOUNT, name: str = "a") -> Queries:
    """A micro-batch of class 1 by one account."""
    return batch_of([AccountPolicy(name, scope=scope)], points, np.full(len(points), 1))


def marks_of(store: MemoryLedgerStore, name: str = "a") -> np.ndarray:
    """The marks in the store, in order."""
    stored = store.load(name, GEOMETRY.digest)
    return stored.get(GEOMETRY.num_classes, np.zeros((0, 2), np.float32))[:, 0]


@pytest.mark.parametrize("batch", [1, 3, 40])
def test_an_account_of_tail_queries_is_flagged(batch: int) -> None:
    """After the eighth tail query every row is REVERSE, whatever the batches are."""
    book = book_of(GEOMETRY, MemoryLedgerStore(), meter=METER)
    steps = [book.assess(asked(TAIL[start : start + batch])) for start in range(0, 40, batch)]
    causes = np.concatenate([step.causes for step in steps])
    verdicts = np.concatenate([step.verdicts for step in steps])
    assert not causes[:NEEDED].any()
    assert (causes[NEEDED:] == Cause.OFF_DISTRIBUTION).all()
    assert (verdicts[NEEDED:] == Verdict.REVERSE).all()
    center = book.assess(asked(GEOMETRY.cluster_centers[[1]]))
    assert center.verdicts.tolist() == [Verdict.REVERSE]


@pytest.mark.parametrize("scope", [Scope.QUERY, Scope.CLASS])
def test_the_meter_reverses_nothing_under_a_narrower_scope(scope: Scope) -> None:
    """It is kept all the same: an account that comes under ACCOUNT later is already flagged."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, meter=METER)
    assert not book.assess(asked(TAIL, scope)).causes.any()
    assert not book.assess(asked(TAIL, scope)).causes.any()
    assert marks_of(store).max() >= METER.limit
    assert (book.assess(asked(TAIL[:2])).causes == Cause.OFF_DISTRIBUTION).all()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_flagged_account_stays_flagged_after_a_restart(kind: str, tmp_path: Path) -> None:
    """The mark at the limit is in the store, and read again it is still at the limit."""
    store = open_store(kind, tmp_path)
    book_of(GEOMETRY, store, meter=METER).assess(asked(TAIL[:NEEDED]))
    step = book_of(GEOMETRY, store, meter=METER).assess(asked(GEOMETRY.cluster_centers[[1]]))
    assert step.causes.tolist() == [Cause.OFF_DISTRIBUTION]
    store.close()


def test_a_tail_query_that_is_repeated_counts_once() -> None:
    """A client that retries one odd sample, in one batch or in many, is no thief."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, meter=METER)
    for _ in range(30):
        assert not book.assess(asked(np.repeat(TAIL[:3], 4, axis=0))).causes.any()
    assert marks_of(store).max() <= 3 * METER.rise + 1e-6


def test_known_queries_do_not_hide_tail_queries() -> None:
    """A thief who repeats five known queries after each tail query is flagged as soon."""
    book = book_of(GEOMETRY, MemoryLedgerStore(), meter=METER)
    known = np.concatenate([GEOMETRY.cluster_centers[[1]], ring(GEOMETRY, 1, 4, reach=1.1)])
    book.assess(asked(known))
    for row in range(NEEDED):
        step = book.assess(asked(np.concatenate([TAIL[row : row + 1], known])))
        assert not step.causes[:-1].any() or row == NEEDED - 1
    assert (book.assess(asked(known)).causes == Cause.OFF_DISTRIBUTION).all()


def test_a_crossed_class_moves_no_meter() -> None:
    """Neither do its tail queries raise the level, nor can it be lowered by that class."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, meter=METER)
    book.assess(asked(disc(GEOMETRY, 1, 0, 300)))
    book.assess(asked(TAIL))
    assert len(marks_of(store)) == 0


def test_old_tail_queries_are_no_news_after_a_restart() -> None:
    """An account that repeats what it has always asked is not flagged by a new process."""
    store = MemoryLedgerStore()
    inside = disc(GEOMETRY, 1, 0, 6)
    catalog = np.concatenate([inside, TAIL[:7]])
    book_of(GEOMETRY, store, budget=40, meter=METER).assess(asked(catalog))
    for _ in range(3):
        again = book_of(GEOMETRY, store, budget=40, meter=METER)
        assert not again.assess(asked(np.concatenate([catalog, TAIL[7:14]]))).causes.any()
    # A new record ends the doubt, and further tail queries count.
    again.assess(asked(GEOMETRY.cluster_centers[[1]] + np.float32(0.9)))
    assert again.assess(asked(TAIL[20:])).causes.any()


def test_an_honest_mixture_is_not_flagged() -> None:
    """Two tail queries in a hundred never bring the level to the limit."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, meter=METER)
    inside, labels = stream(GEOMETRY, 1, 3000, reach=1.1)
    rng = np.random.default_rng(1)
    far = np.flatnonzero(rng.random(3000) < 0.02)
    inside[far], labels[far] = ring(GEOMETRY, 1, len(far)), 1
    policy = [AccountPolicy("a", CrossingPolicy(60))]
    for start in range(0, 3000, 100):
        cut = slice(start, start + 100)
        step = book.assess(batch_of(policy, inside[cut], labels[cut]))
        assert not (step.causes & Cause.OFF_DISTRIBUTION).any()
    assert marks_of(store).max(initial=0.0) < METER.limit


@pytest.mark.parametrize("batch", [1, 4])
def test_marks_are_few_and_rise(batch: int) -> None:
    """A thousand queries of which a sixth are tail leave at most limit / rise + 1 marks."""
    store = MemoryLedgerStore()
    results = Counter[str]()
    book = book_of(
        GEOMETRY,
        store,
        meter=METER,
        listeners=counting(results),
    )
    points = ring(GEOMETRY, 1, 1000)
    points[np.arange(1000) % 6 > 0] = ring(GEOMETRY, 1, 1, reach=1.1)
    for start in range(0, 1000, batch):
        book.assess(asked(points[start : start + batch]))
    marks = marks_of(store)
    assert 2 <= len(marks) <= METER.limit / METER.rise + 2
    assert (np.diff(marks) > 0).all()
    assert results == {"appended": len(marks)}
    assert marks[-1] >= METER.limit


def test_the_marks_of_another_replica_are_seen_after_a_conflict() -> None:
    """A lost compare-and-set brings them, and the account is over from the next batch on."""
    truth, results = MemoryLedgerStore(), Counter[str]()
    store = StoreWithEvents(truth)
    book = book_of(
        GEOMETRY,
        store,
        meter=METER,
        listeners=counting(results),
    )
    book.assess(asked(TAIL[:1]))

    def other_replica(_: Sequence[Append]) -> None:
        store.before_append = lambda _: None
        truth.append_many([Append(MARKS, 1, np.array([[12.0, 0.0]], np.float32))])

    store.before_append = other_replica
    book.assess(asked(TAIL[1:2]))
    assert results == {"appended": 1, "conflict": 1}
    assert marks_of(truth).tolist() == [pytest.approx(METER.rise), 12.0]
    assert book.assess(asked(TAIL[2:3])).causes.tolist() == [Cause.OFF_DISTRIBUTION]


def test_a_mark_that_is_lost_to_a_lower_one_is_appended_behind_it() -> None:
    """Our level is above the other replica's: its mark is caught up and ours follows."""
    truth = MemoryLedgerStore()
    store = StoreWithEvents(truth)
    book = book_of(GEOMETRY, store, meter=METER)

    def other_replica(_: Sequence[Append]) -> None:
        store.before_append = lambda _: None
        truth.append_many([Append(MARKS, 0, np.array([[1.7, 0.0]], np.float32))])

    store.before_append = other_replica
    book.assess(asked(TAIL[:3]))
    assert marks_of(truth) == pytest.approx([1.7, 3 * METER.rise])


def test_a_store_that_lost_marks_gets_them_back() -> None:
    """After a failover the acknowledged marks are appended again, in order, and counted."""
    store, results = StoreWithEvents(MemoryLedgerStore()), Counter[str]()
    book = book_of(
        GEOMETRY,
        store,
        meter=METER,
        listeners=counting(results),
    )
    for row in range(4):
        book.assess(asked(TAIL[row : row + 1]))
    before = store.inner.load("a", GEOMETRY.digest)[GEOMETRY.num_classes]
    store.inner = MemoryLedgerStore()
    store.inner.append_many([Append(MARKS, 0, before[:1])])
    book.assess(asked(TAIL[4:5]))
    after = store.inner.load("a", GEOMETRY.digest)[GEOMETRY.num_classes]
    assert after[:4].tobytes() == before.tobytes()
    assert len(after) == 5
    assert results["regressed"] == 1


def test_a_store_that_fails_under_a_mark_gives_no_verdict() -> None:
    """The account leaves memory, and the next batch starts from what the store has."""
    store = StoreWithEvents(MemoryLedgerStore())
    book = book_of(GEOMETRY, store, meter=METER)

    def fail(_: Sequence[Append]) -> None:
        raise DependencyUnavailable("expected an answer, got none")

    store.before_append = fail
    with pytest.raises(DependencyUnavailable):
        book.assess(asked(TAIL))
    assert book.accounts_cached == 0
    store.before_append = lambda _: None
    assert not book.assess(asked(TAIL[:NEEDED])).causes.any()


def test_without_a_meter_nothing_is_off_distribution() -> None:
    """A book that was given none flags no tail query and keeps no mark."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store)
    assert not book.assess(asked(TAIL)).causes.any()
    assert len(marks_of(store)) == 0


def test_no_account_raises_the_meter_of_another() -> None:
    """In one batch a thief's tail queries leave the other account where it was."""
    book = book_of(GEOMETRY, MemoryLedgerStore(), meter=METER)
    policies = [
        AccountPolicy("thief", scope=Scope.ACCOUNT),
        AccountPolicy("a", scope=Scope.ACCOUNT),
    ]
    points = np.concatenate([TAIL, TAIL[:4]])
    owners = np.repeat([0, 1], [40, 4])
    step = book.assess(batch_of(policies, points, np.full(44, 1), owners))
    assert step.causes[:40].any()
    assert not step.causes[40:].any()


def test_a_group_has_a_meter_of_its_own() -> None:
    """Tail queries split over the accounts of a group are one account's to the meter."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, meter=METER)
    policies = [
        AccountPolicy(f"a{number}", scope=Scope.ACCOUNT, group="acme") for number in range(10)
    ]
    step = book.assess(batch_of(policies, TAIL, np.full(40, 1), np.arange(40) % 10))
    assert (step.causes[2 * NEEDED :] == Cause.OFF_DISTRIBUTION).all()
    assert not step.causes[: 2 * NEEDED - 1].any()
    assert marks_of(store, "group acme").max() >= 2 * METER.limit
    reader = AccountReader(GEOMETRY, book.limits.thresholds, store, METER)
    assert 1.0 <= reader.get("group acme").off_distribution < 1.5
    assert all(marks_of(store, f"a{number}").max() < METER.limit for number in range(10))


@pytest.mark.parametrize("batch", [1, 40])
@pytest.mark.parametrize("scope", [Scope.ACCOUNT, Scope.REPEATED])
def test_one_member_cannot_have_its_group_off_distribution(scope: Scope, batch: int) -> None:
    """A member gets there by itself, and then moves its group no more; a second member does."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, meter=METER)
    policies = [AccountPolicy(name, scope=scope, group="acme") for name in ("odd", "even", "new")]

    def ask(member: int, label: int) -> np.ndarray:
        points = ring(GEOMETRY, label, 40)
        causes = [
            book.assess(
                batch_of(
                    [policies[member]],
                    points[start : start + batch],
                    np.full(batch, label),
                )
            ).causes
            for start in range(0, 40, batch)
        ]
        return np.concatenate(causes)

    assert ask(0, 1)[NEEDED:].all()
    assert METER.limit <= marks_of(store, "group acme").max() < 2 * METER.limit
    assert not book.assess(batch_of([policies[1]], TAIL[:1], np.ones(1, int))).causes.any()
    assert ask(1, 2)[NEEDED:].all()
    assert marks_of(store, "group acme").max() >= 2 * METER.limit
    # Now a member that asked nothing strange is off-distribution with its group.
    center = GEOMETRY.cluster_centers[:1]
    assert book.assess(batch_of([policies[2]], center, np.zeros(1, int))).causes.all()
    # Its operator sees by their own levels which members drove the group there.
    reader = AccountReader(GEOMETRY, book.limits.thresholds, store, METER)
    levels = [reader.get(name).off_distribution for name in ("odd", "even")]
    assert min(levels) >= 1.0
    assert not len(marks_of(store, "new"))


def test_an_operator_reads_the_level_as_a_share_of_the_limit() -> None:
    """An account of tail queries alone has no record and is shown all the same."""
    store = MemoryLedgerStore()
    book = book_of(GEOMETRY, store, meter=METER)
    book.assess(asked(TAIL[:3]))
    reader = AccountReader(GEOMETRY, book.limits.thresholds, store, METER)
    state = reader.get("a")
    assert state.record_count == 0
    assert state.off_distribution == pytest.approx(3 * METER.rise / METER.limit)
    book.assess(asked(TAIL[3:]))
    assert reader.get("a").off_distribution >= 1.0
