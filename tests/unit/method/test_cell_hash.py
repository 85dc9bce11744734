"""The hash of the cells of a grid."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from queen.method.cell_hash import bucket_of, corner_offsets, draw_factors, hash_cells

AXES = 3
COORDINATE = st.integers(-(2**40), 2**40)


@given(st.lists(COORDINATE, min_size=AXES, max_size=AXES), st.integers(0, 2**32))
def test_the_hash_of_a_neighbor_is_a_constant_away(cell: list[int], seed: int) -> None:
    """Adding an offset of a corner is the same as hashing the cell at that corner."""
    factors = draw_factors(AXES, np.random.default_rng(seed))
    corners = np.array(list(product((0, 1), repeat=AXES)))
    cells = np.array(cell, np.float64) + corners
    expected = hash_cells(cells[:1], factors) + corner_offsets(factors)
    assert np.array_equal(hash_cells(cells, factors), expected)


def test_factors_are_odd() -> None:
    """An even factor would forget the highest bit of a coordinate."""
    factors = draw_factors(1000, np.random.default_rng(0))
    assert (factors % 2 == 1).all()
    assert len(np.unique(factors)) == 1000


def test_cells_spread_over_the_buckets() -> None:
    """A dense block of cells fills the buckets about as evenly as chance does."""
    factors = draw_factors(2, np.random.default_rng(0))
    cells = np.array(list(product(range(64), repeat=2)), np.float64)
    buckets = bucket_of(hash_cells(cells, factors), np.full(len(cells), 255))
    counts = np.bincount(buckets, minlength=256)
    assert len(counts) == 256
    assert counts.mean() == 16
    assert counts.max() < 4 * 16
