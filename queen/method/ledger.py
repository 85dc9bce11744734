"""The ledger step: from records and queries to verdicts and new records.

One micro-batch carries B queries of many accounts. It touches L ledgers, one for
each (account, predicted class); `ledger_index` says which row belongs to which.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray, Geometry, LabelArray
from queen.method.sensitivity import center_distances, record_weight, single_query_sensitivity


class Verdict(IntEnum):
    """Decision on one query; the numbers are those of the wire."""

    PRESERVE = 1
    RECORD = 2
    REVERSE = 3


@dataclass(frozen=True, eq=False)
class Assessment:
    """What one ledger step decided, row by row."""

    verdicts: NDArray[np.uint8]
    """(B,) numbers of `Verdict`."""
    distances: FloatArray
    """d, (B,)."""
    sqs: FloatArray
    """(B,)."""
    cqs_before: FloatArray
    """cqs of the row's ledger before the row, (B,)."""
    cqs_after: FloatArray
    """cqs of the row's ledger after the row, (B,)."""

    @property
    def recorded(self) -> NDArray[np.int64]:
        """Rows to append to their ledgers, in order."""
        return np.flatnonzero(self.verdicts == Verdict.RECORD)


def assess_rows(
    geometry: Geometry,
    embeddings: NDArray[np.float32],
    labels: LabelArray,
    ledger_index: NDArray[np.integer],
    nearest: FloatArray,
    cqs: FloatArray,
    thresholds: FloatArray,
) -> Assessment:
    """Take B queries in order against L ledgers.

    `embeddings` (B, E), `labels` (B,) predicted, `ledger_index` (B,) in 0..L-1,
    `nearest` (B,) distance to the row's ledger before the batch (infinite if empty),
    `cqs` (L,) before the batch, `thresholds` T (L,).

        inside and novel and cqs >  T  -> REVERSE   nothing is recorded
        inside and novel and cqs <= T  -> RECORD    z is kept, cqs grows
        otherwise                      -> PRESERVE

    inside is d < rs_y; novel is farther than r_y from every record of the ledger,
    the ones that earlier rows of this batch added included.
    """
    distances = center_distances(geometry, embeddings, labels)
    sqs = single_query_sensitivity(geometry, distances, labels)
    inside = distances < geometry.sensitive_radius[labels]
    candidates = inside & (nearest > geometry.coverage_radius[labels])
    crossed = cqs > thresholds

    verdicts = np.full(len(labels), Verdict.PRESERVE, np.uint8)
    verdicts[candidates & crossed[ledger_index]] = Verdict.REVERSE
    weights = record_weight(geometry, sqs)
    ordered = np.flatnonzero(candidates & ~crossed[ledger_index])
    step = _OrderedRows(geometry, cqs, thresholds)
    for row in ordered.tolist():
        label, index = int(labels[row]), int(ledger_index[row])
        verdicts[row] = step.take(index, label, embeddings[row], float(weights[row]))
    before, after = _running_cqs(verdicts, weights, ledger_index, cqs)
    return Assessment(verdicts, distances, sqs, before, after)


class _OrderedRows:
    """The part of the step in which a row can change the verdict of the next."""

    def __init__(self, geometry: Geometry, cqs: FloatArray, thresholds: FloatArray) -> None:
        self._geometry = geometry
        self._cqs = cqs.tolist()
        self._thresholds = thresholds
        self._fresh: dict[int, _FreshRecords] = {}

    def take(
        self, index: int, label: int, embedding: NDArray[np.float32], weight: float
    ) -> Verdict:
        """Verdict on a row that is inside its region and novel before the batch."""
        wide = embedding.astype(np.float64)
        fresh = self._fresh.get(index)
        if fresh is None:
            fresh = self._fresh[index] = _FreshRecords(len(wide))
        if fresh.cover(wide, self._geometry.coverage_radius[label]):
            return Verdict.PRESERVE
        if self._cqs[index] > self._thresholds[index]:
            return Verdict.REVERSE
        fresh.append(wide)
        self._cqs[index] += weight
        return Verdict.RECORD


class _FreshRecords:
    """What this batch added to one ledger, in an array that doubles when it is full."""

    def __init__(self, embedding_width: int) -> None:
        self._points = np.empty((8, embedding_width))
        self._count = 0

    def cover(self, embedding: FloatArray, radius: float) -> bool:
        """Whether a record lies within `radius` of `embedding` (E,)."""
        if not self._count:
            return False
        offset = self._points[: self._count] - embedding
        return math.sqrt(np.einsum("me,me->m", offset, offset).min()) <= radius

    def append(self, embedding: FloatArray) -> None:
        """Keep `embedding` (E,)."""
        if self._count == len(self._points):
            self._points = np.concatenate([self._points, np.empty_like(self._points)])
        self._points[self._count] = embedding
        self._count += 1


def _running_cqs(
    verdicts: NDArray[np.uint8],
    weights: FloatArray,
    ledger_index: NDArray[np.integer],
    cqs: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Cqs of each row's ledger before and after the row, (B,) each."""
    recorded = verdicts == Verdict.RECORD
    start = cqs[ledger_index]
    if not recorded.any():
        return start, start
    added = np.where(recorded, weights, 0.0)
    order = np.argsort(ledger_index, kind="stable")
    total = np.cumsum(added[order])
    first = np.r_[True, np.diff(ledger_index[order]) != 0]
    # The running total up to each group's first row, carried over the group.
    offset = np.maximum.accumulate(np.where(first, total - added[order], -np.inf))
    within = np.empty_like(added)
    within[order] = total - offset
    return start + within - added, start + within
