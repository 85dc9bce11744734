from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from queen.method.neighbor_grid import NeighborGrid


def naive_pairs(points: np.ndarray, queries: np.ndarray, radius: float) -> set[tuple[int, int]]:
    """Pairs within the radius, by a loop over all of them."""
    return {
        (row, index)
        for row, query in enumerate(queries.astype(np.float64))
        for index, point in enumerate(points.astype(np.float64))
        if np.square(query - point).sum() <= radius**2
    }


def pairs_of(grid: NeighborGrid, queries: np.ndarray) -> list[tuple[int, int]]:
    """Pairs that the grid gives, in order."""
    return sorted(
        pair
        for rows, points in grid.near(queries)
        for pair in zip(rows.tolist(), points.tolist(), strict=True)
    )


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 5),
    st.integers(0, 60),
    st.floats(0.02, 3.0),
    st.floats(0.1, 8.0),
)
def test_the_grid_finds_the_pairs_of_a_naive_loop(
    seed: int, width: int, count: int, radius: float, spread: float
) -> None:
    """Every pair comes once, for queries inside, at the edge of and far beyond the points."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(count, width)).astype(np.float32)
    queries = (spread * rng.normal(size=(20, width))).astype(np.float32)
    grid = NeighborGrid(points, radius)
    pairs = pairs_of(grid, queries)
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == naive_pairs(points, queries, radius)
    crowd = grid.crowd(queries)
    assert (crowd >= np.bincount([row for row, _ in pairs], minlength=20)).all()


def test_points_on_the_border_of_a_cell_have_their_neighbors() -> None:
    """A distance of exactly the radius is within it, on a lattice as wide as the radius."""
    points = np.stack(np.meshgrid(np.arange(4.0), np.arange(4.0)), axis=-1).reshape(-1, 2)
    assert set(pairs_of(NeighborGrid(points, 1.0), points)) == naive_pairs(points, points, 1.0)


def test_pieces_are_small_and_together_complete() -> None:
    """The work is cut by queries and by pairs; a crowd larger than a piece is its own piece."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 2))
    whole = pairs_of(NeighborGrid(points, 0.5), points)
    grid = NeighborGrid(points, 0.5, queries_at_a_time=7, pairs_at_a_time=64)
    assert len(list(grid.near(points))) > 50
    assert pairs_of(grid, points) == whole
