"""The memory of all accounts: its tables and its index say the same."""

from __future__ import annotations

import numpy as np
from queen_sensitivity.ledgers.ledger_memory import ABSENT, AccountTable

from queen.method.crossing import OwnerThresholds, PolicyThresholds
from queen.method.sensitivity import cumulative_query_sensitivity
from tests.unit.sensitivity.ledgers.memories import memory_of
from tests.unit.sensitivity.regions import disc, small_geometry


def table_of() -> AccountTable:
    """A table for 3 classes, with a meter's limit of 9 and a recheck each second."""
    return AccountTable(3, 9.0, 1.0)


def test_the_store_is_asked_about_accounts_that_are_spent_or_in_doubt() -> None:
    """Over, off-distribution or doubted: due a second after the last check; else never."""
    table = table_of()
    slots = np.array([table.open() for _ in range(4)])
    quiet, over, off, doubted = slots.tolist()
    table.checked(slots, 5.0)
    table.judge(slots, 0, (slots != over).astype(int))
    table.set_peak(off, 9.0)
    table.doubt(np.array([doubted]), 7.0)
    assert table.due[[quiet, over, off, doubted]].tolist() == [np.inf, 6.0, 6.0, 8.0]
    table.checked(np.array([doubted]), 9.0)
    assert table.due[doubted] == np.inf
    table.judge(np.array([quiet]), 0, np.array([0]))
    assert table.due[quiet] == 6.0


def test_a_closed_slot_is_as_new_for_the_next_account() -> None:
    """Whatever was known of the account that left is gone."""
    table = table_of()
    fresh = {name: column[table.open()] for name, column in columns(table).items()}
    slot = table.open()
    table.numbers[slot] = [1, 2, 3]
    table.level[slot] = 3.0
    table.used[slot] = 17
    table.set_peak(slot, 9.0)
    table.judge(np.array([slot]), 50, np.array([0]))
    table.doubt(np.array([slot]), 3.0)
    table.close(slot)
    assert table.open() == slot
    for name, column in columns(table).items():
        assert np.array_equal(column[slot], fresh[name]), name


def test_the_table_grows_and_keeps_what_it_has() -> None:
    """More accounts than there was room for at first, each with a slot of its own."""
    table = table_of()
    first = table.open()
    table.numbers[first] = [4, 0, 5]
    slots = [table.open() for _ in range(300)]
    assert len({first, ABSENT, *slots}) == 302
    assert table.ledgers(first) == {0: 4, 2: 5}
    assert (table.due[slots] == np.inf).all()
    assert table.ledgers(slots[-1]) == {}


def columns(table: AccountTable) -> dict[str, np.ndarray]:
    """All arrays of a table."""
    return {name: value for name, value in vars(table).items() if isinstance(value, np.ndarray)}


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


def test_accounts_are_judged_by_their_own_policies() -> None:
    """Threshold, breadth and class cap decide what the same cqs comes to."""
    memory = memory_of(GEOMETRY)
    slots = np.array([memory.accounts.open() for _ in range(5)])
    for slot in slots[:4].tolist():
        memory.accounts.numbers[slot, 0] = memory.ledgers.open(0)
    numbers = memory.accounts.numbers[slots[:4], 0].tolist()
    memory.keep_lists(numbers, [disc(GEOMETRY, 0, 1, 5)] * 4)
    cqs = float(memory.ledgers.cqs[numbers[0]])
    low, high = np.full(3, cqs / 2), np.full(3, cqs * 2)
    tables = {
        1: PolicyThresholds(1, low, None, 1),
        9: PolicyThresholds(9, high, None, 1),
        4: PolicyThresholds(4, low, high, 2),
        5: PolicyThresholds(5, low, low * 1.5, 2),
    }
    policies = [1, 9, 4, 5, 1]
    memory.judge(slots, OwnerThresholds(np.array(policies), tables))
    assert memory.accounts.lacking[slots].tolist() == [0, 1, 1, 0, 1]
    assert memory.accounts.judged[slots].tolist() == policies
