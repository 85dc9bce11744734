"""The ledger step on the ledgers in memory: it decides, and changes nothing.

Shapes: S rows, L ledgers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray, Geometry
from queen.method.ledger import Assessment, LedgerRows, Verdict, assess_candidates
from queen.method.meter.off_distribution import (
    MeterRows,
    OffDistributionMeter,
    room_left,
    tail_cells,
)
from queen.method.sensitivity import Charge, center_distances, sensitive_rows
from queen_sensitivity.engine.batch import Batch
from queen_sensitivity.ledgers.ledger_table import Numbers
from queen_sensitivity.ledgers.neighbor_index import NeighborIndex


class LedgerStep:
    """Decides on rows by the ledgers as they are in memory, and appends nothing."""

    def __init__(
        self, geometry: Geometry, index: NeighborIndex, charge: Charge = Charge.REGIONS
    ) -> None:
        self._geometry = geometry
        self._index = index
        self._charge = charge

    def decide(
        self,
        batch: Batch,
        rows: NDArray[np.integer],
        is_idle: NDArray[np.bool_] | None = None,
    ) -> Assessment:
        """Decisions on `rows` (S,) of the batch in order, ascending, by its snapshot.

        Rows that are idle, (S,), are recorded in no ledger.
        """
        selected = batch.select(rows)
        distances = center_distances(self._geometry, selected.embeddings, selected.labels)
        is_candidate = self._candidates(batch.snapshot.numbers, selected, distances)
        if is_idle is not None:
            is_candidate &= ~is_idle
        levels = batch.levels()
        return assess_candidates(self._geometry, selected, distances, is_candidate, levels)

    def novel_sensitive(self, batch: Batch, rows: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Marks of the `rows` (S,) that are sensitive and novel to their ledger in the snapshot."""
        selected = batch.select(rows)
        distances = center_distances(self._geometry, selected.embeddings, selected.labels)
        return self._candidates(batch.snapshot.numbers, selected, distances)

    def is_novel(self, rows: LedgerRows, numbers: Numbers) -> NDArray[np.bool_]:
        """Whether each row is farther than r from every record of its ledger, (S,)."""
        return self._index.is_novel(numbers[rows.ledger_index], rows.embeddings, rows.labels)

    def _candidates(
        self, numbers: Numbers, rows: LedgerRows, distances: FloatArray
    ) -> NDArray[np.bool_]:
        """Marks of the rows that are sensitive and novel to their ledger.

        A row that is not sensitive is PRESERVE, novel or not. It is searched for all the same, at
        the center of its class: the time of an answer must not tell the side of a region's edge.
        """
        is_sensitive = sensitive_rows(self._geometry, distances, rows.labels, self._charge)
        centers = self._geometry.cluster_centers[rows.labels]
        points = np.where(is_sensitive[:, None], rows.embeddings, centers)
        is_novel = self._index.is_novel(numbers[rows.ledger_index], points, rows.labels)
        is_candidate: NDArray[np.bool_] = is_sensitive & is_novel
        return is_candidate


def meter_rows(
    geometry: Geometry,
    meter: OffDistributionMeter,
    batch: Batch,
    is_idle: NDArray[np.bool_],
    step: Assessment,
) -> MeterRows:
    """How each row that counts moves the meter of its owner, by the decisions of `step` (N,).

    Rows that are idle, (N,), move nothing.
    """
    rows = np.arange(batch.counted)
    embeddings, labels, _ = batch.select(rows)
    is_live = ~(step.is_over | is_idle)
    # The meter is fitted to records inside of the regions.
    is_inside = step.distances < geometry.sensitive_radius[labels]
    steps = meter.steps(
        meter.is_far(step.distances, labels),
        is_live & (step.verdicts == Verdict.RECORD) & is_inside,
        is_live * room_left(geometry, step.cqs_before),
    )
    rising = (steps > 0).nonzero()[0]
    cells = tail_cells(geometry, embeddings[rising], labels[rising])
    by_row = dict(zip(rising.tolist(), cells, strict=True))
    return MeterRows(batch.charges.owner, steps, by_row, batch.charges.row, batch.first_group)
