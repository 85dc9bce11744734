"""Search for pairs of points within a radius of each other, by a grid instead of all pairs.

Shapes: P points of the grid, Q queries, E axes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray

Rows = NDArray[np.int64]
"""Rows of an array, (N,)."""

_AXES = 3
"""Axes of the grid. In more axes a cell has too many neighbors; the distance decides in the end."""
_PAD = 3
"""Cells kept free on every side, so that a neighbor's number is never another cell's."""
QUERIES_AT_A_TIME = 2**14
PAIRS_AT_A_TIME = 2**17
"""Queries and pairs in a piece: some MB, and some milliseconds."""


class NeighborGrid:
    """`points` (P, E) in cells that are `radius` wide."""

    def __init__(
        self,
        points: NDArray[np.floating],
        radius: float,
        queries_at_a_time: int = QUERIES_AT_A_TIME,
        pairs_at_a_time: int = PAIRS_AT_A_TIME,
    ) -> None:
        wide = np.asarray(points, np.float64)
        self._radius = radius
        self._queries_at_a_time = queries_at_a_time
        self._pairs_at_a_time = pairs_at_a_time
        axes = min(wide.shape[1], _AXES)
        # A little wider: rounding must not put a neighbor two cells away.
        self._side = radius * (1 + 1e-9)
        self._low = wide[:, :axes].min(axis=0, initial=np.inf)
        self._low[np.isinf(self._low)] = 0.0
        cells = self._floor(wide).astype(np.int64)
        self._last = cells.max(axis=0, initial=0)
        spans = self._last + 1 + 2 * _PAD
        self._strides = np.concatenate([np.cumprod(spans[::-1])[-2::-1], [1]]).astype(np.int64)
        numbers = self._cell_numbers(cells)
        self._order = np.argsort(numbers, kind="stable")
        # In the order of the cells, so that neighbors lie together in memory, too.
        self._points = np.ascontiguousarray(wide[self._order].T)
        self._filled, self._starts, self._counts = np.unique(
            numbers[self._order], return_index=True, return_counts=True
        )
        steps = np.array(list(product((-1, 0, 1), repeat=axes)), np.int64)
        self._steps: Rows = steps @ self._strides

    def __len__(self) -> int:
        return len(self._order)

    def near(self, queries: NDArray[np.floating]) -> Iterator[tuple[Rows, Rows]]:
        """Pairs of a query (Q, E) and a point at most `radius` apart, as rows of both; in pieces.

        Differences are computed before squaring: `queen.method.neighbors` says why.
        """
        wide = np.asarray(queries, np.float64)
        for first in range(0, len(wide), self._queries_at_a_time):
            begins, counts = self._around(wide[first : first + self._queries_at_a_time])
            ends = np.cumsum(counts.sum(axis=1))
            row = 0
            while row < len(ends):
                done = int(ends[row - 1]) if row else 0
                # At least one query, however crowded its surroundings are.
                fitting = np.searchsorted(ends, done + self._pairs_at_a_time, side="right")
                until = max(row + 1, int(fitting))
                yield self._near(wide, first + row, begins[row:until], counts[row:until])
                row = until

    def crowd(self, queries: NDArray[np.floating]) -> Rows:
        """Number of points that `near` would look at for each query (Q, E), (Q,)."""
        wide = np.asarray(queries, np.float64)
        size = self._queries_at_a_time
        pieces = [
            self._around(wide[first : first + size])[1].sum(axis=1)
            for first in range(0, len(wide), size)
        ]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int64)

    def _near(self, wide: FloatArray, first: int, begins: Rows, counts: Rows) -> tuple[Rows, Rows]:
        flat = counts.ravel()
        ends = np.cumsum(flat)
        positions = np.repeat(begins.ravel() - (ends - flat), flat) + np.arange(int(ends[-1]))
        queries = np.repeat(np.arange(first, first + len(counts)), counts.sum(axis=1))
        squared = np.zeros(len(positions))
        for query, point in zip(wide.T, self._points, strict=True):
            squared += np.square(query[queries] - point[positions])
        is_near = squared <= self._radius**2
        return queries[is_near], self._order[positions[is_near]]

    def _around(self, queries: FloatArray) -> tuple[Rows, Rows]:
        """First point and number of points of the S cells around each query, both (Q, S).

        Points are counted in the order of their cells.
        """
        numbers = self._cell_numbers(self._cells(queries))[:, None] + self._steps
        if not len(self._filled):
            return np.zeros_like(numbers), np.zeros_like(numbers)
        nearest = np.minimum(np.searchsorted(self._filled, numbers), len(self._filled) - 1)
        counts = np.where(self._filled[nearest] == numbers, self._counts[nearest], 0)
        return self._starts[nearest], counts

    def _cells(self, points: FloatArray) -> Rows:
        # A point farther out has no neighbor, wherever it lies.
        return np.clip(self._floor(points), -2, self._last + 2).astype(np.int64)

    def _floor(self, points: FloatArray) -> FloatArray:
        cells: FloatArray = np.floor((points[:, : len(self._low)] - self._low) / self._side)
        return cells

    def _cell_numbers(self, cells: Rows) -> Rows:
        numbers: Rows = (cells + _PAD) @ self._strides
        return numbers
