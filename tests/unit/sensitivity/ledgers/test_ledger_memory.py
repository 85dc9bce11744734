"""The memory of all accounts: its tables and its index say the same."""

from __future__ import annotations

import numpy as np
from queen_sensitivity.ledgers.thresholds import OwnerThresholds

from queen.method.sensitivity import cumulative_query_sensitivity
from tests.unit.sensitivity.ledgers.memories import memory_of
from tests.unit.sensitivity.regions import disc, small_geometry

GEOMETRY = small_geometry()


def test_lists_that_are_kept_are_found_and_weighed() -> None:
    """Their records are in the table, covered by the index, and sum to their cqs."""
    memory = memory_of(GEOMETRY)
    numbers = [memory.ledgers.open(label) for label in (0, 2)]
    lists = [disc(GEOMETRY, label, 1, 5) for label in (0, 2)]
    memory.keep_lists(numbers, lists)
    for ledger, label, records in zip(numbers, (0, 2), lists, strict=True):
        assert memory.ledgers.records(ledger).tobytes() == records.tobytes()
        labels = np.full(5, label)
        assert not memory.index.is_novel(np.full(5, ledger), records, labels).any()
        expected = cumulative_query_sensitivity(GEOMETRY, records, label)
        assert np.isclose(memory.ledgers.cqs[ledger], expected, rtol=1e-12)


def test_a_closed_ledger_covers_nothing() -> None:
    """Neither its number nor the next ledger that gets it."""
    memory = memory_of(GEOMETRY)
    ledger, center = memory.ledgers.open(1), GEOMETRY.cluster_centers[[1]]
    memory.keep_lists([ledger], [center])
    memory.close([ledger])
    again = memory.ledgers.open(1)
    assert again == ledger
    assert memory.index.is_novel(np.array([again]), center, np.array([1])).all()


def test_accounts_are_judged_by_their_own_budgets() -> None:
    """The same cqs is over a small threshold and not over a large one."""
    memory = memory_of(GEOMETRY)
    slots = np.array([memory.accounts.open() for _ in range(3)])
    for slot in slots[:2].tolist():
        memory.accounts.numbers[slot, 0] = memory.ledgers.open(0)
    numbers = memory.accounts.numbers[slots[:2], 0].tolist()
    memory.keep_lists(numbers, [disc(GEOMETRY, 0, 1, 5), disc(GEOMETRY, 0, 1, 5)])
    cqs = float(memory.ledgers.cqs[numbers[0]])
    tables = {1: np.full(3, cqs / 2), 9: np.full(3, cqs * 2)}
    memory.judge(slots, OwnerThresholds(np.array([1, 9, 1]), tables))
    assert memory.accounts.is_crossed[slots].tolist() == [True, False, False]
    assert memory.accounts.judged[slots].tolist() == [1, 9, 1]
