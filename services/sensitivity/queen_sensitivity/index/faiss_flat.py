"""Nearest records by FAISS: one exact flat index for each ledger.

Inside FAISS, records are offsets from the cluster center in units of the sensitive radius,
so that the kernel's cancellation is relative to the region, wherever it lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray, Geometry, LabelArray
from queen.method.growing import grown
from queen.method.neighbors import nearest_distances
from queen_sensitivity.ledger_store import Records
from queen_sensitivity.ledgers.ledger_table import LedgerTable, Numbers

# FAISS keeps its matrix kernel for searches above this many numbers. For one neighbor
# in a few dimensions the fused matrix kernel is never slower than the loop of
# differences, and 40 times faster at 10,000 records and 256 queries.
faiss.cvar.distance_compute_blas_threshold = 1
# More threads than one cost more time than such short searches need.
faiss.omp_set_num_threads(1)

_FLOAT32_UNIT = 2.0**-24


class FlatIndex:
    """See `NeighborIndex`: one FAISS call for each ledger that a batch reaches.

    FAISS works in float32 and partly by the expansion |a|^2 - 2ab + |b|^2, which loses
    digits for near neighbors, so a record at 0.9999 r may look novel: recorded twice, it
    breaks "pairwise more than r apart". Rows whose distance is as near to r as the rounding
    reaches are therefore decided in float64.
    """

    def __init__(self, geometry: Geometry, table: LedgerTable) -> None:
        self._geometry = geometry
        self.table = table
        # The type is Any because the wrapper adds `search_c` at import, unseen by type checkers.
        self.indexes: dict[int, Any] = {}
        # Largest squared length of a ledger's offsets, at least 1: the scale of rounding.
        self._reach = np.ones(table.capacity)
        self._boundary = geometry.coverage_fraction**2
        # Bound on the error of |a|^2 - 2ab + |b|^2 in float32: each sum of E + 2 terms is off by at
        # most its length in units of rounding, and the offsets are rounded too. The bound is twice
        # the sum of these errors.
        self._slack = 4.0 * (geometry.embedding_width + 2) * _FLOAT32_UNIT

    def add(self, numbers: Numbers, counts: Numbers, records: Records) -> None:
        """See `NeighborIndex.add`."""
        if self.table.capacity > len(self._reach):
            self._reach = grown(self._reach, self.table.capacity, 1.0)
        owners = np.repeat(numbers, counts)
        offsets = self._offsets(records, self.table.label[owners])
        np.maximum.at(self._reach, owners, _squared_length(offsets))
        ends = np.cumsum(counts).tolist()
        for ledger, start, end in zip(numbers.tolist(), [0, *ends], ends, strict=False):
            index = self.indexes.get(ledger)
            if index is None:
                index = self.indexes[ledger] = self._empty_index()
            index.add(offsets[start:end])

    def drop(self, numbers: Sequence[int]) -> None:
        """See `NeighborIndex.drop`."""
        for ledger in numbers:
            if self.indexes.pop(ledger, None) is not None:
                self._reach[ledger] = 1.0

    def is_novel(
        self, numbers: Numbers, embeddings: Records, labels: LabelArray
    ) -> NDArray[np.bool_]:
        """See `NeighborIndex.is_novel`."""
        offsets = self._offsets(embeddings, labels)
        squared, places = self.search(numbers, offsets)
        is_novel: NDArray[np.bool_] = squared > self._boundary
        for row in self._borderline(numbers, offsets, squared).tolist():
            known = self.table.records(int(numbers[row]))
            radius = float(self._geometry.coverage_radius[labels[row]])
            is_novel[row] = _is_beyond(known, embeddings[row], int(places[row]), radius)
        return is_novel

    def _empty_index(self) -> Any:
        return faiss.IndexFlatL2(self._geometry.embedding_width)

    def search(
        self, numbers: NDArray[np.integer], offsets: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Squared distance of each row to its nearest record (B,), and that record's place (B,).

        Infinite and -1 where there is none.
        """
        order = np.argsort(numbers, kind="stable")
        distinct, starts = np.unique(numbers[order], return_index=True)
        bounds = [*starts.tolist(), len(order)]
        grouped = offsets[order]
        nearest = np.full(len(order), np.inf, np.float32)
        places = np.full(len(order), -1, np.int64)
        pointer = faiss.swig_ptr
        for ledger, start, end in zip(distinct.tolist(), bounds, bounds[1:], strict=False):
            index = self.indexes.get(ledger)
            if index is not None:
                # The C entry point: the Python wrapper costs as much as a search of 100 records.
                rows = pointer(grouped[start:end])
                into = (pointer(nearest[start:end]), pointer(places[start:end]))
                index.search_c(end - start, rows, 1, *into)
        squared, ids = np.empty_like(nearest), np.empty_like(places)
        squared[order], ids[order] = nearest, places
        return squared, ids

    def _offsets(self, embeddings: Records, labels: LabelArray) -> NDArray[np.float32]:
        """(z - c_y) / rs_y: `embeddings` (B, E), `labels` (B,) -> (B, E) float32."""
        offset = embeddings.astype(np.float64) - self._geometry.cluster_centers[labels]
        # A row far outside overflows to infinity, and is then decided exactly.
        with np.errstate(over="ignore"):
            return (offset / self._geometry.sensitive_radius[labels][:, None]).astype(np.float32)

    def _borderline(
        self,
        numbers: NDArray[np.integer],
        offsets: NDArray[np.float32],
        squared: NDArray[np.float32],
    ) -> NDArray[np.int64]:
        """Rows for which float32 cannot tell on which side of r they are."""
        slack = self._slack * (self._reach[numbers] + _squared_length(offsets))
        # `<=` would be wrong: a NaN left by an overflow must count as borderline.
        with np.errstate(invalid="ignore"):
            return np.flatnonzero(~(np.abs(squared - self._boundary) > slack))


def _is_beyond(known: Records, embedding: Records, nearest: int, radius: float) -> bool:
    """Whether `embedding` (E,) is farther than `radius` from all `known` (M, E), in float64.

    `nearest` is the row that FAISS found nearest, -1 for none: it mostly decides the question.
    """
    if nearest >= 0:
        candidate = known[nearest : nearest + 1]
        if nearest_distances(candidate, embedding[None])[0] <= radius:
            return False
    return bool(nearest_distances(known, embedding[None])[0] > radius)


def _squared_length(offsets: NDArray[np.float32]) -> FloatArray:
    squared: FloatArray = np.einsum("be,be->b", offsets, offsets, dtype=np.float64)
    return squared
