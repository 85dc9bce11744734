"""The state of the accounts in memory, by slot."""

from __future__ import annotations

import numpy as np
from queen_sensitivity.ledgers.account_table import ABSENT, AccountTable


def table_of() -> AccountTable:
    """A table for 3 classes, with a meter's limit of 9 and a recheck each second."""
    return AccountTable(3, 9.0, 1.0)


def test_the_store_is_asked_about_accounts_that_are_spent_or_in_doubt() -> None:
    """Crossed, off-distribution or doubted: due a second after the last check; else never."""
    table = table_of()
    slots = np.array([table.open() for _ in range(4)])
    quiet, crossed, off, doubted = slots.tolist()
    table.checked(slots, 5.0)
    table.judge(slots, 0, slots == crossed)
    table.set_peak(off, 9.0)
    table.doubt(np.array([doubted]), 7.0)
    assert table.due[[quiet, crossed, off, doubted]].tolist() == [np.inf, 6.0, 6.0, 8.0]
    table.checked(np.array([doubted]), 9.0)
    assert table.due[doubted] == np.inf
    table.cross(np.array([quiet]))
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
    table.judge(np.array([slot]), 50, np.array([True]))
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
