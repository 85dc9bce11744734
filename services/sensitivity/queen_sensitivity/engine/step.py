"""The ledger step of a micro-batch, against the ledgers as they are in memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray, Geometry
from queen.method.ledger import Assessment, LedgerLevels, LedgerRows, assess_candidates
from queen.method.sensitivity import center_distances
from queen_sensitivity.engine.batch import Touched
from queen_sensitivity.engine.charging import Queries
from queen_sensitivity.ledgers.neighbor_index import NeighborIndex


class LedgerStep:
    """Decides on rows, and appends nothing."""

    def __init__(self, geometry: Geometry, search: NeighborIndex) -> None:
        self._geometry = geometry
        self._search = search

    def decide(self, queries: Queries, touched: Touched, rows: NDArray[np.integer]) -> Assessment:
        """Decisions on `rows` in order, ascending."""
        embeddings, labels, ledger_index = _at(queries, touched, rows)
        distances = center_distances(self._geometry, embeddings, labels)
        is_novel = self._is_novel(touched, embeddings, labels, ledger_index, distances)
        ledger_rows = LedgerRows(embeddings, labels, ledger_index)
        levels = LedgerLevels(touched.cqs(), touched.thresholds)
        return assess_candidates(self._geometry, ledger_rows, distances, is_novel, levels)

    def _is_novel(
        self,
        touched: Touched,
        embeddings: NDArray[np.float32],
        labels: NDArray[np.integer],
        ledger_index: NDArray[np.integer],
        distances: FloatArray,
    ) -> NDArray[np.bool_]:
        is_novel = np.zeros(len(labels), np.bool_)
        # A row outside its region is PRESERVE whatever lies near it.
        inside = (distances < self._geometry.sensitive_radius[labels]).nonzero()[0]
        if len(inside):
            numbers = touched.numbers()[ledger_index[inside]]
            points = embeddings.take(inside, axis=0)
            is_novel[inside] = self._search.is_novel(numbers, points, labels[inside])
        return is_novel


def _at(
    queries: Queries, touched: Touched, rows: NDArray[np.integer]
) -> tuple[NDArray[np.float32], NDArray[np.integer], NDArray[np.integer]]:
    """Embeddings, labels and ledgers of `rows`, which mostly are all."""
    if len(rows) == len(queries):
        return queries.embeddings, queries.labels, touched.ledger_index
    return queries.embeddings[rows], queries.labels[rows], touched.ledger_index[rows]
