"""The samples that simulated accounts send, and which sample covers which.

All accounts send rows of the same N samples, so that this is computed once.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.method.enforcement import repeat_radius
from queen.method.geometry import FloatArray, Geometry
from queen.method.neighbor_grid import NeighborGrid
from queen.method.sensitivity import (
    Charge,
    center_distances,
    record_weight,
    sensitive_rows,
    single_query_sensitivity,
)

Claims = NDArray[np.bool_]
Positions = NDArray[np.int64]


class Near(NamedTuple):
    """The samples near each of N samples, one after another.

    The `counts` (N,) of them for each sample begin at `starts` (N,) in `samples`.
    """

    starts: Positions
    counts: Positions
    samples: NDArray[np.int32]

    def of(self, row: int) -> NDArray[np.int32]:
        """The samples near that of a row."""
        return self.samples[self.starts[row] : self.starts[row] + self.counts[row]]

    def mark(self, marks: Claims, accounts: Positions, rows: Positions) -> None:
        """Mark in `marks` (A, N) what is near the row of each of some accounts, (a,) each."""
        counts = self.counts[rows]
        ends = np.cumsum(counts)
        places = np.arange(ends[-1]) + np.repeat(self.starts[rows] - ends + counts, counts)
        marks[np.repeat(accounts, counts), self.samples[places]] = True


class SentSamples:
    """N samples to send: `embeddings` (N, E), predicted `labels` (N,).

    `sensitive` (N,), the `weights` (N,) of their records and the `distances` (N,) to the cluster
    centers follow from the geometry; `covered` are the samples that a record of each sample covers.
    """

    def __init__(
        self,
        geometry: Geometry,
        embeddings: NDArray[np.float32],
        labels: NDArray[np.integer],
        charge: Charge = Charge.REGIONS,
    ) -> None:
        self.geometry = geometry
        self.embeddings = embeddings
        self.labels = labels
        self.distances = distances = center_distances(geometry, embeddings, labels)
        self.sensitive: Claims = sensitive_rows(geometry, distances, labels, charge)
        sqs = single_query_sensitivity(geometry, distances, labels)
        self.weights = record_weight(geometry, sqs)
        self.covered = self._near(geometry.coverage_radius)

    @cached_property
    def repeating(self) -> Near:
        """The samples that repeat a record of each sample."""
        return self._near(repeat_radius(self.geometry))

    def _near(self, radii: FloatArray) -> Near:
        """The samples of its class within its radius, of `radii` (C,), of each sensitive sample."""
        embeddings = self.embeddings
        records, near = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
        for label in np.unique(self.labels).tolist():
            rows = np.flatnonzero(self.labels == label).astype(np.int32)
            sensitive = rows[self.sensitive[rows]]
            grid = NeighborGrid(embeddings[rows], float(radii[label]))
            for queries, points in grid.near(embeddings[sensitive]):
                records.append(sensitive[queries])
                near.append(rows[points])
        record = np.concatenate(records)
        counts = np.bincount(record, minlength=len(self.labels))
        order = np.argsort(record, kind="stable")
        return Near(np.cumsum(counts) - counts, counts, np.concatenate(near)[order])
