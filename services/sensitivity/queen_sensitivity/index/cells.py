"""Nearest records by a grid of cells: a search costs the same however many records there are.

Records of a ledger are more than r apart, so a cell of side 2 r holds few of them, and the
ball of radius r around a query meets 2 cells on each axis: 2^E cells, whose records are
compared in float64. Cells are hashed into the buckets of the ledger, which lie side by side
in one array with those of all others.

The hash of a cell is the sum of its coordinates, each times a factor of its axis, modulo 2^64.
It is linear: the hash of a neighbor is that of the cell plus a constant. The factors are odd
and random, so that a caller cannot choose points whose cells collide.

Shapes: B rows or cells, E axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from queen.errors import ConfigError
from queen.method.geometry import FloatArray, Geometry, LabelArray
from queen.method.growing import grown
from queen.method.neighbors import nearest_distances
from queen_sensitivity.ledger_store import Records
from queen_sensitivity.ledgers.ledger_table import Blocks, LedgerTable, Numbers

Hashes = NDArray[np.uint64]

CELLS_WIDTH = 4
"""Most axes: each doubles the cells of a search."""
_BUCKET = 8
"""Records that fit into a bucket; further records go into the next bucket of the ledger."""
_LOAD = 4
"""Mean number of records of a bucket above which a ledger gets twice as many buckets."""
_SLACK = 1e-9
"""Relative difference from r^2 below which the oracle itself decides; far above rounding."""
_FARTHEST = 1e12
"""Largest coordinate, in cells; a record beyond it lies in the outermost cell."""
_ROWS = 1024
"""Rows that are searched together, which bounds the memory of a search."""
_UPPER_HALF = np.uint64(32)


class CellIndex:
    """See `NeighborIndex`; ConfigError for embeddings of more than CELLS_WIDTH axes."""

    def __init__(self, geometry: Geometry, table: LedgerTable) -> None:
        width = geometry.embedding_width
        if width > CELLS_WIDTH:
            raise ConfigError(
                f"search cells: expected an embedding of at most {CELLS_WIDTH} axes, got {width}; "
                "use auto or flat"
            )
        self._geometry = geometry
        self._table = table
        self._side = 2.0 * geometry.coverage_radius * (1.0 + _SLACK)
        squared = np.square(geometry.coverage_radius)
        self._within, self._beyond = squared * (1.0 - _SLACK), squared * (1.0 + _SLACK)
        self._factors = draw_factors(width, np.random.default_rng())
        self._corners = corner_offsets(self._factors)
        self._buckets = Blocks((width, _BUCKET), np.inf)
        # One empty bucket, shared by all ledgers without a record.
        self._buckets.allocate(1)
        self._first = np.zeros(table.capacity, np.int64)
        self._mask = np.zeros(table.capacity, np.int64)

    def add(self, numbers: Numbers, counts: Numbers, records: Records) -> None:
        """See `NeighborIndex.add`."""
        if self._table.capacity > len(self._first):
            self._first = grown(self._first, self._table.capacity)
            self._mask = grown(self._mask, self._table.capacity)
        version = self._table.version[numbers]
        room = np.where(self._first[numbers] > 0, _LOAD * (self._mask[numbers] + 1), 0)
        is_small = version > room
        for ledger in numbers[is_small].tolist():
            self._spread(ledger)
        if is_small.any():
            # New buckets of a ledger are empty: insert its earlier records, too.
            stays = ~np.repeat(is_small, counts)
            whole = [self._table.records(ledger) for ledger in numbers[is_small].tolist()]
            owners = [np.repeat(numbers, counts)[stays]]
            owners.append(np.repeat(numbers[is_small], version[is_small]))
            self._insert(np.concatenate(owners), np.concatenate([records[stays], *whole]))
        else:
            self._insert(np.repeat(numbers, counts), records)

    def drop(self, numbers: Sequence[int]) -> None:
        """See `NeighborIndex.drop`."""
        for ledger in numbers:
            if ledger < len(self._first) and self._first[ledger]:
                self._buckets.free(int(self._first[ledger]), int(self._mask[ledger]) + 1)
                self._first[ledger] = self._mask[ledger] = 0

    def is_novel(
        self, numbers: Numbers, embeddings: Records, labels: LabelArray
    ) -> NDArray[np.bool_]:
        """See `NeighborIndex.is_novel`."""
        if len(labels) <= _ROWS:
            return self._is_novel(numbers, embeddings, labels)
        pieces = [slice(start, start + _ROWS) for start in range(0, len(labels), _ROWS)]
        return np.concatenate(
            [self._is_novel(numbers[at], embeddings[at], labels[at]) for at in pieces]
        )

    def _is_novel(
        self, numbers: Numbers, embeddings: Records, labels: LabelArray
    ) -> NDArray[np.bool_]:
        wide = embeddings.astype(np.float64)
        cells = np.floor(self._in_cells(wide, labels) - 0.5)
        hashes = hash_cells(cells, self._factors)[:, None] + self._corners
        buckets = bucket_of(hashes, self._mask[numbers][:, None]) + self._first[numbers][:, None]
        inside = self._buckets.rows.take(buckets, axis=0)
        squared = _squared(inside, wide[:, None, :]).reshape(len(wide), -1).min(axis=1)
        is_novel = np.zeros(len(wide), np.bool_)
        # Rows that are covered by a record that was found are settled.
        rows = (squared >= self._within[labels]).nonzero()[0]
        if len(rows):
            is_full = inside[rows, :, 0, -1] < np.inf
            if np.count_nonzero(is_full):
                positions, corners = is_full.nonzero()
                probed = rows[positions]
                self._probe(numbers, wide, squared, probed, buckets[probed, corners])
            is_novel[rows] = self._is_beyond(numbers, embeddings, labels, squared, rows)
        return is_novel

    def _is_beyond(
        self,
        numbers: Numbers,
        embeddings: Records,
        labels: LabelArray,
        squared: FloatArray,
        rows: NDArray[np.int64],
    ) -> NDArray[np.bool_]:
        """Marks of `rows` beyond r, by `squared` (B,) or, where rounding matters, by the oracle."""
        is_beyond: NDArray[np.bool_] = squared[rows] > self._beyond[labels[rows]]
        is_open = ~is_beyond & (squared[rows] >= self._within[labels[rows]])
        for position in is_open.nonzero()[0].tolist():
            row = int(rows[position])
            known = self._table.records(int(numbers[row]))
            radius = self._geometry.coverage_radius[labels[row]]
            is_beyond[position] = nearest_distances(known, embeddings[row : row + 1])[0] > radius
        return is_beyond

    def _probe(
        self,
        numbers: Numbers,
        wide: FloatArray,
        squared: FloatArray,
        rows: NDArray[np.int64],
        buckets: NDArray[np.int64],
    ) -> None:
        """Search on behind full `buckets` of `rows`; lower `squared` (B,) to the nearest record."""
        while len(rows):
            first, mask = self._first[numbers[rows]], self._mask[numbers[rows]]
            buckets = first + ((buckets - first + 1) & mask)
            inside = self._buckets.rows.take(buckets, axis=0)
            np.minimum.at(squared, rows, _squared(inside, wide[rows]).min(axis=1))
            is_full = inside[:, 0, -1] < np.inf
            rows, buckets = rows[is_full], buckets[is_full]

    def _spread(self, ledger: int) -> None:
        """Give a ledger empty buckets, enough for its records."""
        self.drop([ledger])
        count = -(-int(self._table.version[ledger]) // _LOAD)
        size = 1 << (count - 1).bit_length()
        self._first[ledger], self._mask[ledger] = self._buckets.allocate(size), size - 1

    def _insert(self, numbers: NDArray[np.integer], records: Records) -> None:
        """Put each of `records` (R, E) into its bucket or, where that is full, the next."""
        cells = np.floor(self._in_cells(records.astype(np.float64), self._table.label[numbers]))
        first, mask = self._first[numbers], self._mask[numbers]
        buckets = first + bucket_of(hash_cells(cells, self._factors), mask)
        rows = self._buckets.rows
        waiting = np.arange(len(records))
        while len(waiting):
            waiting = waiting[np.argsort(buckets[waiting], kind="stable")]
            at = buckets[waiting]
            held = (rows[at, 0] < np.inf).sum(axis=1)
            slots = held + np.arange(len(at)) - np.searchsorted(at, at)
            fits = slots < _BUCKET
            rows[at[fits], :, slots[fits]] = records[waiting[fits]]
            waiting = waiting[~fits]
            start = first[waiting]
            buckets[waiting] = start + ((buckets[waiting] - start + 1) & mask[waiting])

    def _in_cells(self, wide: FloatArray, labels: LabelArray) -> FloatArray:
        """Coordinates from the cluster center, a cell long each, (B, E)."""
        cells: FloatArray = wide - self._geometry.cluster_centers.take(labels, axis=0)
        cells /= self._side[labels][:, None]
        np.minimum(cells, _FARTHEST, out=cells)
        np.maximum(cells, -_FARTHEST, out=cells)
        return cells


def _squared(inside: NDArray[np.float32], points: FloatArray) -> FloatArray:
    """Squared distances (..., 8) of each bucket (..., E, 8) from its point (..., E), in float64.

    Empty slots of a bucket are infinitely far.
    """
    offset = inside.reshape(*inside.shape[:-2], -1) - points.repeat(_BUCKET, axis=-1)
    offset *= offset
    squared: FloatArray = offset[..., :_BUCKET]
    for start in range(_BUCKET, offset.shape[-1], _BUCKET):
        squared = squared + offset[..., start : start + _BUCKET]
    return squared


def draw_factors(axes: int, rng: np.random.Generator) -> Hashes:
    """A factor for each axis, (E,)."""
    factors: Hashes = 2 * rng.integers(0, 2**63, axes, np.uint64) + np.uint64(1)
    return factors


def corner_offsets(factors: Hashes) -> Hashes:
    """Hashes of a cell and its upper neighbors on any axes, less the hash of the cell, (2^E,)."""
    corners = np.array(list(product((0, 1), repeat=len(factors))), np.uint64)
    offsets: Hashes = (corners * factors).sum(axis=1)
    return offsets


def hash_cells(cells: FloatArray, factors: Hashes) -> Hashes:
    """Hashes (B,) of cells (B, E), whole numbers."""
    hashes: Hashes = cells.astype(np.int64).view(np.uint64) @ factors
    return hashes


def bucket_of(hashes: Hashes, mask: NDArray[np.int64]) -> NDArray[np.int64]:
    """A bucket for each hash, in 0..mask, where mask + 1 is a power of two up to 2^32.

    The upper half of a product depends on all of the cell.
    """
    return (hashes >> _UPPER_HALF).view(np.int64) & mask
