"""A micro-batch: its rows, and the ledgers that it reaches."""

from __future__ import annotations

import numpy as np
import pytest
from queen_sensitivity.engine.batch import empty_assessment, fill_rows, first_of_each
from queen_sensitivity.engine.charging import (
    AccountPolicy,
)
from queen_sensitivity.engine.crossings import Crossing, CrossingKind
from queen_sensitivity.ledger_store import MemoryLedgerStore

from queen.method.crossing import CrossingPolicy, published
from queen.method.ledger import Assessment
from tests.unit.sensitivity.engine.batches import centers, labels_of, room_over
from tests.unit.sensitivity.regions import batch_of, disc, meter_of, small_geometry

GEOMETRY = small_geometry()
POLICIES = [
    AccountPolicy("a", CrossingPolicy(5), group="us", group_crossing=CrossingPolicy(9)),
    AccountPolicy("b"),
]


@pytest.mark.parametrize("owners", [[0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1]])
def test_rows_reach_the_ledger_of_their_owner_and_class(owners: list[int]) -> None:
    """Each distinct ledger once, in order, whatever the order of the rows."""
    room = room_over(GEOMETRY, MemoryLedgerStore())
    labels = labels_of(2, 0, 2, 1)
    batch = room.open(batch_of(POLICIES, centers(GEOMETRY, labels), labels, owners))
    assert np.array_equal(batch.owner[batch.ledger_index], batch.charged.account_index)
    assert np.array_equal(batch.labels[batch.ledger_index], batch.charged.labels)
    pairs = list(zip(batch.owner.tolist(), batch.labels.tolist(), strict=True))
    assert pairs == sorted(set(pairs))
    assert [batch.accounts[owner].owner for owner, _ in pairs] == [
        ["a", "b", "group us"][owner] for owner, _ in pairs
    ]


def test_each_ledger_has_the_threshold_of_its_owners_budget() -> None:
    """An account's own, the service's, and its group's."""
    room = room_over(GEOMETRY, MemoryLedgerStore())
    labels = labels_of(0, 0)
    batch = room.open(batch_of(POLICIES, centers(GEOMETRY, labels), labels, [0, 1]))
    policies = [CrossingPolicy(budget) for budget in (5, 0, 9)]
    expected = [float(room.thresholds.of_policy(policy).thresholds[0]) for policy in policies]
    assert batch.thresholds.tolist() == expected
    standing = batch.standing(np.zeros(batch.size, np.bool_))
    assert standing.thresholds.tolist() == expected
    assert batch.caps is None
    assert batch.levels().known_owners().lacking.tolist() == [1, 1, 1]


def test_a_selection_of_rows_keeps_their_ledgers() -> None:
    """All rows are the arrays themselves; some are copies of their rows."""
    room = room_over(GEOMETRY, MemoryLedgerStore())
    labels = labels_of(1, 0, 1)
    batch = room.open(batch_of([AccountPolicy("a")], centers(GEOMETRY, labels), labels))
    assert batch.select(np.arange(3)).embeddings is batch.charged.embeddings
    some = batch.select(np.array([0, 2]))
    assert some.labels.tolist() == [1, 1]
    assert some.ledger_index.tolist() == batch.ledger_index[[0, 2]].tolist()


def test_crossings_are_seen_at_the_next_look() -> None:
    """Of a class and of the meter, once the memory has changed and was looked at again."""
    room = room_over(GEOMETRY, MemoryLedgerStore(), published(3))
    labels = labels_of(1)
    batch = room.open(batch_of([AccountPolicy("a")], centers(GEOMETRY, labels), labels))
    (account,) = batch.accounts
    meter = meter_of(GEOMETRY, limit=9.0)
    account.extend(1, disc(GEOMETRY, 1, 1, 40))
    account.extend(GEOMETRY.num_classes, account.meter.as_record(9.0))
    assert batch.crossings(meter) == []
    batch.refresh()
    of_class, of_owner, of_meter = batch.crossings(meter)
    assert (of_class.account_id, of_class.label) == ("a", 1)
    assert of_class.level > of_class.limit == float(batch.thresholds[0])
    assert (of_meter.label, of_meter.level, of_meter.limit) == (None, 9.0, 9.0)
    assert of_owner == Crossing(CrossingKind.BREADTH, "a", None, 1.0, 1.0)
    assert batch.crossings(None) == [of_class, of_owner]
    assert not room.memory.accounts.lacking[account.slot]


def test_an_owner_that_was_erased_is_decided_again_on_its_new_account() -> None:
    """All of its ledgers, and none of another owner's; generations are of the new one."""
    store = MemoryLedgerStore()
    room = room_over(GEOMETRY, store)
    labels = labels_of(0, 1, 1)
    queries = batch_of(
        [AccountPolicy("a"), AccountPolicy("b")], centers(GEOMETRY, labels), labels, [0, 0, 1]
    )
    queries = type(queries)(
        queries.accounts, queries.account_index, queries.labels, queries.embeddings, with_facts=True
    )
    batch = room.open(queries)
    store.erase("a", [GEOMETRY.digest], 7)
    account, failure = room.cache.renew("a")
    assert failure is None
    assert batch.renew(0, account) == [0, 1]
    batch.settle(np.arange(3))
    assert batch.generations.tolist() == [7, 7, 0]
    assert batch.slots[0] == batch.accounts[0].slot


def test_settled_rows_fill_an_assessment_and_the_others_wait() -> None:
    """The rows of a later attempt are put beside those of an earlier one."""
    whole = empty_assessment(4)
    values = np.array([0.1, 0.2])
    step = Assessment(
        *(np.array([1, 2], np.uint8), values, values, values, values), np.array([False, True])
    )
    fill_rows(whole, np.array([1, 3]), step, np.array([False, True]))
    assert whole.verdicts.tolist() == [0, 0, 0, 2]
    assert whole.cqs_after.tolist() == [0.0, 0.0, 0.0, 0.2]
    assert whole.is_over.tolist() == [False, False, False, True]


def test_the_first_of_each_run_is_found() -> None:
    """None in an empty array, and every value that differs from the one before it."""
    assert first_of_each(np.zeros(0, np.int64)).tolist() == []
    assert first_of_each(np.array([3, 3, 5, 8, 8])).tolist() == [True, False, True, True, False]
