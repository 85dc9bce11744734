"""Nearest records by FAISS: one exact flat index for each (account, class).

An account's records lie in indexes of its own. No selector separates accounts inside a
shared index: some FAISS indexes accept a selector and silently ignore it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray, Geometry, LabelArray
from queen.method.neighbors import nearest_distances

from .ledger_store import Records

# FAISS keeps its matrix kernel for searches above this many numbers. For one neighbour
# in a few dimensions the fused matrix kernel is never slower than the loop of
# differences, and 40 times faster at 10,000 records and 256 queries.
faiss.cvar.distance_compute_blas_threshold = 1
# More threads than one cost more than such short searches take.
faiss.omp_set_num_threads(1)

_FLOAT32_UNIT = 2.0**-24


class RecordIndex:
    """The records (M, E) of one (account, class), searchable.

    Inside FAISS they are offsets from the cluster center in units of the sensitive
    radius, so that the kernel's cancellation is relative to the region, wherever it lies.
    """

    __slots__ = ("_buffer", "_count", "_flat", "_reach")

    def __init__(self, embedding_width: int) -> None:
        # Any: the wrapper adds `search_c` at import, where no checker sees it.
        self._flat: Any = faiss.IndexFlatL2(embedding_width)
        self._buffer: Records = np.empty((4, embedding_width), np.float32)
        self._count = 0
        self._reach = 1.0

    def __len__(self) -> int:
        return self._count

    @property
    def records(self) -> Records:
        """The recorded embeddings as they were given, (M, E); do not write."""
        return self._buffer[: self._count]

    @property
    def reach(self) -> float:
        """Largest squared length of an offset, at least 1: the scale of rounding errors."""
        return self._reach

    def add(self, records: Records, offsets: NDArray[np.float32]) -> None:
        """Append `records` (R, E), whose offsets (R, E) are `NeighborSearch.offsets`."""
        self._reserve(self._count + len(records))
        self._buffer[self._count : self._count + len(records)] = records
        self._count += len(records)
        self._flat.add(offsets)
        self._reach = max(self._reach, float(_squared_length(offsets).max(initial=0.0)))

    def search(
        self,
        offsets: NDArray[np.float32],
        squared: NDArray[np.float32],
        ids: NDArray[np.int64],
    ) -> None:
        """Write the nearest record of each of `offsets` (Q, E) into `squared`, `ids` (Q,)."""
        # The C entry point: the Python wrapper costs as much as a search of 100 records.
        pointer = faiss.swig_ptr
        self._flat.search_c(len(offsets), pointer(offsets), 1, pointer(squared), pointer(ids))

    def _reserve(self, count: int) -> None:
        if count > len(self._buffer):
            larger = np.empty(
                (max(count, 2 * len(self._buffer)), self._buffer.shape[1]), np.float32
            )
            larger[: self._count] = self.records
            self._buffer = larger


class NeighborSearch:
    """Distances to the nearest record, for rows of many ledgers at once."""

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self._radius = geometry.coverage_radius
        # Of an L2 distance as |a|^2 - 2ab + |b|^2 in float32: each of the sums of E + 2
        # terms is off by at most its length in units of rounding, and the offsets are
        # rounded too. Twice the sum of these bounds.
        self._slack = 4.0 * (geometry.embedding_width + 2) * _FLOAT32_UNIT

    def offsets(self, embeddings: Records, labels: LabelArray) -> NDArray[np.float32]:
        """(z - c_y) / rs_y: `embeddings` (B, E), `labels` (B,) -> (B, E) float32."""
        offset = embeddings.astype(np.float64) - self._geometry.cluster_centers[labels]
        # A row far outside overflows to infinity, and is then decided exactly.
        with np.errstate(over="ignore"):
            return (offset / self._geometry.sensitive_radius[labels][:, None]).astype(np.float32)

    def nearest(
        self,
        indexes: Sequence[RecordIndex | None],
        ledger_index: NDArray[np.integer],
        embeddings: Records,
        labels: LabelArray,
    ) -> FloatArray:
        """Distance of each row to the nearest record of its ledger, (B,) float64.

        `indexes` (L,), None for an empty ledger; `ledger_index` (B,) in 0..L-1. Infinite
        where there is no record. Exactly on the side of the coverage radius r where the
        float64 oracle `nearest_distances` is; otherwise right to float32.

        FAISS works in float32 and by the expansion |a|^2 - 2ab + |b|^2, which loses
        digits for near neighbours, so a record at 0.9999 r may look novel: recorded
        twice, it breaks "pairwise more than r apart". Whatever lies as near to r as the
        rounding reaches is therefore decided in float64.
        """
        offsets = self.offsets(embeddings, labels)
        squared, ids = _search_all(indexes, ledger_index, offsets)
        distances = np.sqrt(np.maximum(squared, 0.0, dtype=np.float64))
        distances *= self._geometry.sensitive_radius[labels]
        for row in self._borderline(indexes, ledger_index, offsets, squared).tolist():
            index = indexes[int(ledger_index[row])]
            if index is not None and len(index):
                radius = float(self._radius[labels[row]])
                distances[row] = _exact(index, embeddings[row], int(ids[row]), radius)
        return distances

    def _borderline(
        self,
        indexes: Sequence[RecordIndex | None],
        ledger_index: NDArray[np.integer],
        offsets: NDArray[np.float32],
        squared: NDArray[np.float32],
    ) -> NDArray[np.int64]:
        """Rows for which float32 cannot tell on which side of r they are."""
        reach = np.array([1.0 if index is None else index.reach for index in indexes])
        slack = self._slack * (reach[ledger_index] + _squared_length(offsets))
        boundary = self._geometry.coverage_fraction**2
        # Not `<=`: a NaN that overflow left must count as borderline.
        with np.errstate(invalid="ignore"):
            return np.flatnonzero(~(np.abs(squared - boundary) > slack))


def _search_all(
    indexes: Sequence[RecordIndex | None],
    ledger_index: NDArray[np.integer],
    offsets: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """One FAISS search a ledger, over all its rows."""
    order = np.argsort(ledger_index, kind="stable")
    bounds = np.searchsorted(ledger_index[order], np.arange(len(indexes) + 1)).tolist()
    grouped = offsets[order]
    found = np.full(len(order), np.inf, np.float32)
    found_ids = np.full(len(order), -1, np.int64)
    for index, start, end in zip(indexes, bounds, bounds[1:], strict=False):
        if index is not None and len(index) and start < end:
            index.search(grouped[start:end], found[start:end], found_ids[start:end])
    squared, ids = np.empty_like(found), np.empty_like(found_ids)
    squared[order], ids[order] = found, found_ids
    return squared, ids


def _exact(index: RecordIndex, embedding: Records, found: int, radius: float) -> float:
    """In float64: the record that FAISS found, and all of them if it is beyond `radius`."""
    if found >= 0:
        distance = float(nearest_distances(index.records[found : found + 1], embedding[None])[0])
        if distance <= radius:
            return distance
    return float(nearest_distances(index.records, embedding[None])[0])


def _squared_length(offsets: NDArray[np.float32]) -> FloatArray:
    squared: FloatArray = np.einsum("be,be->b", offsets, offsets, dtype=np.float64)
    return squared
