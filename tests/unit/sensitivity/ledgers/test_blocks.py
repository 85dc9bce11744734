"""The allocator of rows: blocks never overlap, and freed ones are used again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from queen_sensitivity.ledgers.blocks import Blocks

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
