"""The table of all ledgers in memory."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from queen_sensitivity.ledgers.ledger_table import NO_LEDGER, Blocks, LedgerTable


def filled(counts: list[int]) -> tuple[LedgerTable, np.ndarray, np.ndarray]:
    """A table with ledgers of so many records, their numbers, and all records (R, 2)."""
    table = LedgerTable(2)
    numbers = np.array([table.open(label) for label in range(len(counts))])
    records = np.random.default_rng(0).normal(size=(sum(counts), 2)).astype(np.float32)
    table.extend(numbers, np.array(counts), records, np.arange(1.0, len(records) + 1))
    return table, numbers, records


def test_records_are_kept_in_the_order_they_were_recorded() -> None:
    """Over several extensions, each with a part of every ledger."""
    table, numbers, records = filled([3, 1, 20])
    more = np.ones((4, 2), np.float32)
    table.extend(numbers[[0, 2]], np.array([1, 3]), more, np.full(4, 0.5))
    assert np.array_equal(table.records(numbers[0]), [*records[:3], more[0]])
    assert np.array_equal(table.records(numbers[1]), records[3:4])
    assert np.array_equal(table.records(numbers[2]), [*records[4:], *more[1:]])
    assert table.version[numbers].tolist() == [4, 1, 23]
    assert table.cqs[numbers[:2]].tolist() == [1 + 2 + 3 + 0.5, 4]
    assert table.total == 28


def test_the_end_of_a_ledger_is_its_last_record() -> None:
    """A ledger without records has an end of no rows, and so has the number of no ledger."""
    table, numbers, records = filled([3, 0])
    assert np.array_equal(table.end(numbers[0]), records[2:3])
    assert table.end(numbers[1]).shape == (0, 2)
    assert table.end(NO_LEDGER).shape == (0, 2)


def test_the_number_of_a_closed_ledger_is_given_again() -> None:
    """The ledger that gets it is of its own class and empty."""
    table, numbers, _ = filled([3, 5])
    table.close([int(numbers[0])])
    assert table.total == 5
    again = table.open(9)
    assert again == numbers[0]
    assert (table.version[again], table.cqs[again], table.label[again]) == (0, 0.0, 9)
    assert len(table.records(again)) == 0


def test_numbers_grow_beyond_the_first_room() -> None:
    """All are distinct, and below the capacity; none is that of no ledger."""
    table = LedgerTable(2)
    numbers = {table.open(0) for _ in range(1000)}
    assert len(numbers) == 1000
    assert max(numbers) < table.capacity
    assert NO_LEDGER not in numbers


FILL = -1.0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=60))
def test_blocks_never_overlap_and_begin_filled(acts: list[tuple[bool, int]]) -> None:
    """Whatever is allocated and freed in between, a block keeps the rows that were written."""
    blocks, held = Blocks((2,), FILL), dict[int, int]()
    for frees, exponent in acts:
        if frees and held:
            start = sorted(held)[exponent % len(held)]
            blocks.free(start, held.pop(start))
            continue
        size = 2**exponent
        start = blocks.allocate(size)
        assert (blocks.rows[start : start + size] == FILL).all()
        blocks.rows[start : start + size] = start
        held[start] = size
    for start, size in held.items():
        assert (blocks.rows[start : start + size] == start).all()


def test_the_rows_of_a_freed_block_are_used_again() -> None:
    """A large free block is split for small ones before the array grows."""
    blocks = Blocks((1,), FILL)
    blocks.free(blocks.allocate(1024), 1024)
    rows = len(blocks.rows)
    starts = {blocks.allocate(64) for _ in range(16)}
    assert len(starts) == 16
    assert len(blocks.rows) == rows
    assert max(starts) < 1024
