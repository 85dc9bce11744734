"""Nearest records by one FAISS index for all ledgers: an inverted list for each.

No quantizer chooses the lists: a row is told which list to read, and reads no other.
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import Geometry
from queen_sensitivity.index.faiss_flat import FaissSearch
from queen_sensitivity.ledgers.ledger_table import LedgerTable, Numbers


class IvfIndex(FaissSearch):
    """One FAISS call for a whole batch; a ledger's number is that of its list."""

    def __init__(self, geometry: Geometry, table: LedgerTable) -> None:
        super().__init__(geometry, table)
        self._ivf = self._empty()

    def _empty(self) -> Any:
        """An index with a list for each number that the table has room for."""
        width = self._geometry.embedding_width
        quantizer = faiss.IndexFlatL2(width)
        index = faiss.IndexIVFFlat(quantizer, width, self._table.capacity)
        # Lists are assigned, never found: the quantizer stays empty, and nothing is to train.
        index.is_trained = True
        return index

    def _add(self, numbers: Numbers, counts: Numbers, offsets: NDArray[np.float32]) -> None:
        if self._table.capacity > self._ivf.nlist:
            self._rebuild()
            return
        passed = np.cumsum(counts) - counts
        first = self._table.version[numbers] - counts - passed
        self._put(np.repeat(numbers, counts), np.repeat(first, counts), offsets)

    def _put(self, numbers: Numbers, before: Numbers, offsets: NDArray[np.float32]) -> None:
        """Add rows to lists; `before` plus a row's number is its place in its ledger."""
        places = before + np.arange(len(offsets))
        pointer = faiss.swig_ptr
        rows, lists = np.ascontiguousarray(offsets), np.ascontiguousarray(numbers, np.int64)
        self._ivf.add_core(len(rows), pointer(rows), pointer(places), pointer(lists))

    def _rebuild(self) -> None:
        """Take over all records into an index with more lists; the table doubles, so it is rare."""
        self._ivf = self._empty()
        live = np.flatnonzero(self._table.version)
        counts = self._table.version[live]
        records = np.concatenate([self._table.records(number) for number in live.tolist()])
        numbers = np.repeat(live, counts)
        offsets = self._offsets(records, self._table.label[numbers])
        self._put(numbers, np.repeat(counts - np.cumsum(counts), counts), offsets)

    def _drop(self, number: int) -> None:
        if number < self._ivf.nlist:
            self._ivf.ntotal -= self._ivf.invlists.list_size(number)
            self._ivf.invlists.resize(number, 0)

    def _search(
        self, numbers: NDArray[np.integer], offsets: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        count = len(offsets)
        squared, places = np.empty(count, np.float32), np.empty(count, np.int64)
        lists, unused = np.ascontiguousarray(numbers, np.int64), np.zeros(count, np.float32)
        pointer = faiss.swig_ptr
        into = (pointer(squared), pointer(places))
        self._ivf.search_preassigned_c(
            count, pointer(offsets), 1, pointer(lists), pointer(unused), *into, False
        )
        squared[places < 0] = np.inf
        return squared, places
