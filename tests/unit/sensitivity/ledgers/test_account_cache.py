"""Accounts come and go: who leaves memory, and what is left behind for the next one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import pytest
from queen_sensitivity.engine.charging import AccountPolicy, Queries
from queen_sensitivity.engine.crossings import Crossing, CrossingKind
from queen_sensitivity.engine.wiring import Listeners
from queen_sensitivity.ledger_store import MemoryLedgerStore

from queen.method.enforcement import Cause, Scope
from queen.method.ledger import Verdict
from tests.unit.sensitivity.regions import batch_of, book_of, disc, meter_of, ring, small_geometry

GEOMETRY = small_geometry()
METER = meter_of(GEOMETRY)


def asked(names: Sequence[str], points: np.ndarray, scope: Scope = Scope.ACCOUNT) -> Queries:
    """A micro-batch of class 1, its rows by these accounts in turn."""
    policies = [AccountPolicy(name, scope=scope) for name in names]
    owners = np.arange(len(points)) % len(names)
    return batch_of(policies, points, np.full(len(points), 1), owners)


@pytest.mark.parametrize("size", [1, 7, 40])
def test_accounts_leave_in_the_order_in_which_they_asked(size: int) -> None:
    """Whatever the batches are, memory holds those who asked last, as a list of them says."""
    book = book_of(GEOMETRY, MemoryLedgerStore(), cached_accounts=size, meter=METER)
    expected: OrderedDict[str, None] = OrderedDict()
    rng = np.random.default_rng(size)
    for _ in range(300):
        # Few ask often and many rarely.
        drawn = rng.permutation(60)[: rng.integers(1, 9)] // rng.integers(1, 10)
        names = [f"account-{number}" for number in dict.fromkeys(drawn.tolist())]
        book.assess(asked(names, GEOMETRY.cluster_centers[np.full(len(names), 1)]))
        for name in names:
            expected[name] = None
            expected.move_to_end(name)
        while len(expected) > size:
            expected.popitem(last=False)
        assert {account.owner for account in book.cache} == set(expected)


def test_nothing_of_an_account_passes_to_the_one_that_takes_its_place() -> None:
    """A spent and off-distribution account leaves memory; the next one in its slot is neither."""
    book = book_of(GEOMETRY, MemoryLedgerStore(), cached_accounts=1, budget=12, meter=METER)
    book.assess(asked(["spent"], ring(GEOMETRY, 1, 40)))
    book.assess(asked(["spent"], disc(GEOMETRY, 1, 0, 200)))
    causes = book.assess(asked(["spent"], GEOMETRY.cluster_centers[[1]])).causes
    assert causes.tolist() == [Cause.ACCOUNT | Cause.OFF_DISTRIBUTION]
    (spent,) = book.cache
    slot = spent.slot
    book.assess(asked(["other"], ring(GEOMETRY, 1, 1, reach=1.1)))
    first = book.assess(asked(["fresh"], GEOMETRY.cluster_centers[[1]]))
    (fresh,) = book.cache
    assert slot in (fresh.slot, *book.memory.accounts.free)
    assert first.verdicts.tolist() == [Verdict.RECORD]
    assert first.cqs_before.tolist() == [0.0]
    again = book.assess(asked(["spent"], GEOMETRY.cluster_centers[[1]]))
    assert again.causes.tolist() == causes.tolist()


def test_new_accounts_in_the_places_of_others_have_ledgers_of_their_own() -> None:
    """While accounts come and go, each query at a center is novel to its account, once."""
    book = book_of(GEOMETRY, MemoryLedgerStore(), cached_accounts=3)
    rng = np.random.default_rng(0)
    for turn in range(100):
        labels = rng.integers(0, GEOMETRY.num_classes, 3)
        policies = [AccountPolicy(f"{name}-{turn}") for name in "abc"]
        batch = batch_of(policies, GEOMETRY.cluster_centers[labels], labels, range(3))
        first, again = book.assess(batch), book.assess(batch)
        assert (first.verdicts == Verdict.RECORD).all()
        assert (first.cqs_before == 0.0).all()
        assert (again.verdicts == Verdict.PRESERVE).all()


def test_a_crossing_is_announced_even_if_its_account_leaves_memory_at_once() -> None:
    """Of a batch that is larger than memory every crossing is told."""
    told: list[Crossing] = []
    book = book_of(
        GEOMETRY,
        MemoryLedgerStore(),
        cached_accounts=1,
        meter=METER,
        listeners=Listeners(announce=told.extend),
    )
    points = np.concatenate([ring(GEOMETRY, 1, 40), disc(GEOMETRY, 1, 0, 300)])
    book.assess(asked(["a", "b", "c"], points))
    assert [(one.account_id, one.kind) for one in told] == [
        *((name, CrossingKind.THRESHOLD) for name in "abc"),
        *((name, CrossingKind.BREADTH) for name in "abc"),
        *((name, CrossingKind.OFF_DISTRIBUTION) for name in "abc"),
    ]
