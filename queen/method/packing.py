"""Packings: records that lie farther than the coverage radius from each other.

The records of one ledger are a packing. This module adds records of another origin to one (an
export, a backup, another account), and says which share of a region a packing covers.

Shapes: M known records, R further records, P probes, E axes; r the coverage radius.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray, Geometry
from queen.method.ledger import LedgerLevels, LedgerRows, assess_rows
from queen.method.neighbor_grid import NeighborGrid
from queen.method.neighbors import nearest_distances
from queen.method.sensitivity import Charge

PROBES = 4096
"""Points that measure how much of a region is covered: the share is right to about 1 %."""


def novel_rows(
    geometry: Geometry, label: int, known: NDArray[np.float32], records: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Rows of `records` (R, E) that a ledger of class `label` would add to `known` (M, E).

    The ledger step without a budget, bit for bit: farther than r from the known records and from
    the rows that were added before. Outside of the region, too: that they are records says that
    they were charged.
    """
    step = assess_rows(
        geometry,
        LedgerRows(records, np.full(len(records), label), np.zeros(len(records), np.int64)),
        nearest_distances(known, records),
        LedgerLevels(np.zeros(1), np.array([np.inf])),
        Charge.ANYWHERE,
    )
    return step.recorded


def novel_rows_by_grid(
    known: NDArray[np.float32], records: NDArray[np.float32], radius: float
) -> NDArray[np.int64]:
    """Rows of `records` (R, E) that are novel beside `known` (M, E).

    As `novel_rows`, for many records: it compares neighbors in a grid instead of all pairs.
    """
    is_novel = np.ones(len(records), np.bool_)
    for rows, _ in NeighborGrid(known, radius).near(records):
        is_novel[rows] = False
    rows = np.flatnonzero(is_novel)
    # The earlier neighbors of each row; most rows have none.
    earlier: dict[int, list[int]] = {}
    for queries, points in NeighborGrid(records[rows], radius).near(records[rows]):
        is_later = queries > points
        pairs = zip(queries[is_later].tolist(), points[is_later].tolist(), strict=True)
        for row, neighbor in pairs:
            earlier.setdefault(row, []).append(neighbor)
    is_kept = [True] * len(rows)
    for row in sorted(earlier):
        is_kept[row] = not any(is_kept[neighbor] for neighbor in earlier[row])
    kept: NDArray[np.int64] = rows[is_kept]
    return kept


class RegionProbes:
    """P points spread evenly over a sensitive region, the same points every time."""

    def __init__(self, geometry: Geometry, count: int = PROBES) -> None:
        self._geometry = geometry
        self._count = count
        probes = _even_points(count, geometry.embedding_width)
        # In units of a sensitive radius the coverage radius is the same for every class.
        self._grid = NeighborGrid(probes, geometry.coverage_fraction)

    def covered(self, label: int, records: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Probes of the region of class `label` that lie within r of a record (R, E), (P,)."""
        is_covered = np.zeros(self._count, np.bool_)
        offsets = records - self._geometry.cluster_centers[label].astype(np.float64)
        for _, probes in self._grid.near(offsets / self._geometry.sensitive_radius[label]):
            is_covered[probes] = True
        return is_covered


def _even_points(count: int, width: int) -> FloatArray:
    """Points (count, width) spread evenly over the unit ball."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(count, width))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    points: FloatArray = directions * rng.uniform(size=(count, 1)) ** (1 / width)
    return points
