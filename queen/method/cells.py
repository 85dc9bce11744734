"""Pairs of points within a radius of each other, found in a grid and not among all pairs.

Shapes: P points of the index, Q queries, E axes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray

Places = NDArray[np.int64]

_AXES = 3
"""Axes of the grid. Cells along more have too many neighbors; the distance decides anyway."""
_PAD = 3
"""Cells kept free on every side, so that a neighbor's number is never another cell's."""
_ROWS = 2**14
_PAIRS = 2**17
"""Queries, and pairs, that are looked at in one step: some MB, and some milliseconds."""


class CellIndex:
    """`points` (P, E) in cells that are `radius` wide."""

    def __init__(self, points: NDArray[np.floating], radius: float) -> None:
        wide = np.asarray(points, np.float64)
        self._radius = radius
        axes = min(wide.shape[1], _AXES)
        # A little wider: rounding must not put a neighbor two cells away.
        self._side = radius * (1 + 1e-9)
        self._low = wide[:, :axes].min(axis=0, initial=np.inf)
        self._low[np.isinf(self._low)] = 0.0
        cells = self._floor(wide).astype(np.int64)
        self._last = cells.max(axis=0, initial=0)
        spans = self._last + 1 + 2 * _PAD
        self._strides = np.concatenate([np.cumprod(spans[::-1])[-2::-1], [1]]).astype(np.int64)
        numbers = self._numbers(cells)
        self._order = np.argsort(numbers, kind="stable")
        # In the order of the cells, so that neighbors lie together in memory, too.
        self._points = np.ascontiguousarray(wide[self._order].T)
        self._filled, self._starts, self._counts = np.unique(
            numbers[self._order], return_index=True, return_counts=True
        )
        steps = np.array(list(product((-1, 0, 1), repeat=axes)), np.int64)
        self._steps: Places = steps @ self._strides

    def __len__(self) -> int:
        return len(self._order)

    def near(self, queries: NDArray[np.floating]) -> Iterator[tuple[Places, Places]]:
        """Pairs of a query (Q, E) and a point at most `radius` apart, as places; in pieces.

        Differences are taken before squaring, as `queen.method.neighbors` says why.
        """
        wide = np.asarray(queries, np.float64)
        for first in range(0, len(wide), _ROWS):
            begins, counts = self._around(wide[first : first + _ROWS])
            ends = np.cumsum(counts.sum(axis=1))
            row = 0
            while row < len(ends):
                done = int(ends[row - 1]) if row else 0
                # At least one query, however crowded its surroundings are.
                until = max(row + 1, int(np.searchsorted(ends, done + _PAIRS, side="right")))
                yield self._near(wide, first + row, begins[row:until], counts[row:until])
                row = until

    def crowd(self, queries: NDArray[np.floating]) -> Places:
        """How many points `near` would look at for each query (Q, E), (Q,)."""
        wide = np.asarray(queries, np.float64)
        pieces = [
            self._around(wide[first : first + _ROWS])[1].sum(axis=1)
            for first in range(0, len(wide), _ROWS)
        ]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int64)

    def _near(
        self, wide: FloatArray, first: int, begins: Places, counts: Places
    ) -> tuple[Places, Places]:
        flat = counts.ravel()
        ends = np.cumsum(flat)
        places = np.repeat(begins.ravel() - (ends - flat), flat) + np.arange(int(ends[-1]))
        queries = np.repeat(np.arange(first, first + len(counts)), counts.sum(axis=1))
        squared = np.zeros(len(places))
        for query, point in zip(wide.T, self._points, strict=True):
            squared += np.square(query[queries] - point[places])
        is_near = squared <= self._radius**2
        return queries[is_near], self._order[places[is_near]]

    def _around(self, queries: FloatArray) -> tuple[Places, Places]:
        """Begin in the order, and number of points, of the cells around each query, (Q, S)."""
        numbers = self._numbers(self._cells(queries))[:, None] + self._steps
        if not len(self._filled):
            return np.zeros_like(numbers), np.zeros_like(numbers)
        places = np.minimum(np.searchsorted(self._filled, numbers), len(self._filled) - 1)
        counts = np.where(self._filled[places] == numbers, self._counts[places], 0)
        return self._starts[places], counts

    def _cells(self, points: FloatArray) -> Places:
        # Whoever is farther out has no neighbor, wherever he stands.
        return np.clip(self._floor(points), -2, self._last + 2).astype(np.int64)

    def _floor(self, points: FloatArray) -> FloatArray:
        cells: FloatArray = np.floor((points[:, : len(self._low)] - self._low) / self._side)
        return cells

    def _numbers(self, cells: Places) -> Places:
        numbers: Places = (cells + _PAD) @ self._strides
        return numbers
