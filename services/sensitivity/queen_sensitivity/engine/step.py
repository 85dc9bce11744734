"""The ledger step of a micro-batch, against the ledgers as they are in memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray, Geometry
from queen.method.ledger import Assessment, LedgerLevels, LedgerRows, assess_candidates
from queen.method.sensitivity import center_distances
from queen_sensitivity.engine.batch import Batch
from queen_sensitivity.ledgers.ledger_table import Numbers
from queen_sensitivity.ledgers.neighbor_index import NeighborIndex


class LedgerStep:
    """Decides on rows, and appends nothing."""

    def __init__(self, geometry: Geometry, index: NeighborIndex) -> None:
        self._geometry = geometry
        self._index = index

    def decide(self, batch: Batch, rows: NDArray[np.integer]) -> Assessment:
        """Decisions on `rows` of the batch in order, ascending, by its snapshot."""
        selected = batch.select(rows)
        distances = center_distances(self._geometry, selected.embeddings, selected.labels)
        is_candidate = self._candidates(batch.snapshot.numbers, selected, distances)
        levels = LedgerLevels(batch.snapshot.cqs, batch.thresholds)
        return assess_candidates(self._geometry, selected, distances, is_candidate, levels)

    def _candidates(
        self, numbers: Numbers, rows: LedgerRows, distances: FloatArray
    ) -> NDArray[np.bool_]:
        """Which rows are inside their region, and novel to their ledger."""
        is_candidate = np.zeros(len(rows.labels), np.bool_)
        # A row outside its region is PRESERVE, novel or not.
        inside = (distances < self._geometry.sensitive_radius[rows.labels]).nonzero()[0]
        if len(inside):
            points = rows.embeddings.take(inside, axis=0)
            labels = rows.labels[inside]
            is_candidate[inside] = self._index.is_novel(
                numbers[rows.ledger_index[inside]], points, labels
            )
        return is_candidate
