"""Nearest records by a grid of cells."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from queen_sensitivity.index.cells import bucket_of, corner_offsets, draw_factors, hash_cells

from tests.unit.sensitivity.index.indexed import Ledgers, geometry_of, points_in


def test_copies_of_a_record_go_on_in_the_next_buckets() -> None:
    """More records of a cell than a bucket holds, as a damaged store may have, are all found."""
    geometry = geometry_of(2, 0.05, classes=1)
    ledgers = Ledgers("cells", geometry)
    number = ledgers.open(0)
    point = geometry.cluster_centers[:1]
    ledgers.add({number: np.repeat(point, 100, axis=0)})
    beside = point + 1.5 * geometry.coverage_radius[0]
    queries = np.concatenate([point, beside]).astype(np.float32)
    is_novel = ledgers.check(np.full(2, number), queries, np.zeros(2, int))
    assert is_novel.tolist() == [False, True]


def test_a_ledger_that_grows_record_by_record_keeps_them_all() -> None:
    """It gets twice the buckets again and again, and every earlier record is still found."""
    rng = np.random.default_rng(0)
    geometry = geometry_of(3, 0.05, classes=1)
    ledgers = Ledgers("cells", geometry)
    number = ledgers.open(0)
    records = points_in(geometry, np.zeros(150, int), rng)
    for row in range(150):
        ledgers.add({number: records[row : row + 1]})
    is_novel = ledgers.check(np.full(150, number), records, np.zeros(150, int))
    assert not is_novel.any()


def test_more_rows_than_are_searched_together_are_all_decided() -> None:
    """The pieces of a large batch come back in order."""
    rng = np.random.default_rng(1)
    geometry = geometry_of(2, 0.05, classes=1)
    ledgers = Ledgers("cells", geometry)
    numbers = np.array([ledgers.open(0), ledgers.open(0)])
    ledgers.add({int(numbers[0]): points_in(geometry, np.zeros(200, int), rng)})
    rows = np.arange(2500) % 2
    queries = points_in(geometry, np.zeros(2500, int), rng)
    is_novel = ledgers.check(numbers[rows], queries, np.zeros(2500, int))
    assert is_novel[rows == 1].all()
    assert not is_novel[rows == 0].all()


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
