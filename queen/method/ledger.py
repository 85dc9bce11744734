"""The ledger step: from records and queries to verdicts and new records.

One micro-batch carries B queries of many accounts. It reaches L ledgers, one for
each (account, predicted class); `ledger_index` says which row belongs to which. The ledgers
of one owner meet in its crossing policy: what is crossed is reversed once the owner is over.
`queen.method.enforcement` makes verdicts on queries of those on rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.method.fresh_records import FreshRecords
from queen.method.geometry import FloatArray, Geometry, LabelArray
from queen.method.sensitivity import (
    Charge,
    center_distances,
    record_weight,
    sensitive_rows,
    single_query_sensitivity,
)


class Verdict(IntEnum):
    """The decision on a query. The numbers are those of the wire."""

    PRESERVE = 1
    RECORD = 2
    REVERSE = 3


_PRESERVE, _RECORD, _REVERSE = (np.uint8(verdict) for verdict in Verdict)
_ABOVE_ROUNDING = 1.0 + 1e-9


class LedgerRows(NamedTuple):
    """B queries in order, each with the ledger that it reaches."""

    embeddings: NDArray[np.float32]
    """z, (B, E)."""
    labels: LabelArray
    """Predicted classes y, (B,)."""
    ledger_index: NDArray[np.integer]
    """(B,) in 0..L-1."""


class Owners(NamedTuple):
    """O owners of L ledgers, and what their crossing policies say before the batch."""

    of_ledger: NDArray[np.integer]
    """Owner of each ledger, (L,) in 0..O-1."""
    lacking: NDArray[np.integer]
    """Further classes whose crossing would put each owner over, 0 once it is over, (O,)."""
    caps: FloatArray | None
    """Cqs of each ledger above which its owner is over, (L,); None without caps."""


class LedgerLevels(NamedTuple):
    """The cqs of L ledgers, their thresholds and their owners."""

    cqs: FloatArray
    """(L,)."""
    thresholds: FloatArray
    """T, (L,)."""
    owners: Owners | None = None
    """None makes each ledger an owner of its own, under the policy of the paper."""

    def known_owners(self) -> Owners:
        """The owners, made up where there are none."""
        if self.owners is not None:
            return self.owners
        lacking = (self.cqs <= self.thresholds).astype(np.int64)
        return Owners(np.arange(len(lacking)), lacking, None)


@dataclass(frozen=True, eq=False)
class Assessment:
    """The decisions of a ledger step, row by row."""

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
    is_over: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    """Whether the row's owner was over its budget before the row, (B,); empty after `enforce`."""
    causes: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    """(B,) bits of `Cause`, 0 unless the verdict is REVERSE; empty before `enforce`."""
    facts: NDArray[np.void] | None = None
    """(B,) of `queen.method.facts.FACTS`, from which the verdicts follow; None if not asked for."""
    secrets: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    """Fingerprint of the secret under which each REVERSE row of a keyed account is answered, 0 for
    other rows, (B,); empty before the engine has looked it up."""
    failures: NDArray[np.uint8] | None = None
    """(B,) 0, or why a query has no verdict: its verdict is 0 then, and so is all else of it. None
    where each query has one; the method itself gives each a verdict."""

    @property
    def recorded(self) -> NDArray[np.int64]:
        """Rows to append to their ledgers, in order."""
        rows: NDArray[np.int64] = (self.verdicts == _RECORD).nonzero()[0]
        return rows

    def first(self, count: int) -> Assessment:
        """The first `count` rows, before `enforce`."""
        return self if count == len(self.verdicts) else self._part(slice(0, count))

    def select(self, rows: NDArray[np.integer]) -> Assessment:
        """Some distinct rows (S,), ascending, before `enforce`."""
        return self if len(rows) == len(self.verdicts) else self._part(rows)

    def _part(self, rows: slice | NDArray[np.integer]) -> Assessment:
        return Assessment(
            self.verdicts[rows],
            self.distances[rows],
            self.sqs[rows],
            self.cqs_before[rows],
            self.cqs_after[rows],
            self.is_over[rows],
        )


def assess_rows(
    geometry: Geometry,
    rows: LedgerRows,
    nearest: FloatArray,
    levels: LedgerLevels,
    charge: Charge = Charge.REGIONS,
) -> Assessment:
    """Decide on B queries in order, against L ledgers at the `levels` before the batch.

    `nearest` (B,) is each row's distance to the records of its ledger before the batch,
    infinite where there is none.

        sensitive and novel and cqs > T and over  -> REVERSE   nothing is recorded
        sensitive and novel otherwise             -> RECORD    z is kept, cqs grows
        otherwise                                 -> PRESERVE

    sensitive is d < rs_y, or every query if `charge` says so; novel is farther than r_y from every
    record of the ledger,
    including the records that earlier rows of this batch added. An owner is over once as many
    of its classes have cqs > T as it needs, or once one class has passed its cap.
    """
    distances = center_distances(geometry, rows.embeddings, rows.labels)
    is_sensitive = sensitive_rows(geometry, distances, rows.labels, charge)
    is_candidate = is_sensitive & (nearest > geometry.coverage_radius[rows.labels])
    return assess_candidates(geometry, rows, distances, is_candidate, levels)


def assess_candidates(
    geometry: Geometry,
    rows: LedgerRows,
    distances: FloatArray,
    is_candidate: NDArray[np.bool_],
    levels: LedgerLevels,
) -> Assessment:
    """`assess_rows` with the distances d (B,) and the marks of sensitive novel rows (B,) given."""
    labels, ledger_index = rows.labels, rows.ledger_index
    sqs = single_query_sensitivity(geometry, distances, labels)
    verdicts = np.empty(len(labels), np.uint8)
    verdicts.fill(_PRESERVE)
    start, owners = levels.cqs[ledger_index], levels.known_owners()
    is_over = _rows_over(owners, ledger_index)
    novel = is_candidate.nonzero()[0]
    if not len(novel):
        return Assessment(verdicts, distances, sqs, start, start, is_over)
    is_reversed = (start > levels.thresholds[ledger_index])[novel]
    is_reversed &= is_over[novel]
    verdicts[novel[is_reversed]] = _REVERSE
    ordered = novel[~is_reversed]
    weights = record_weight(geometry, sqs[ordered])
    reached = start.copy()
    ledgers = ledger_index[ordered]
    # A row alone in its ledger cannot change the verdict of another row, unless it can put its
    # owner over: it is recorded.
    is_walked = (np.bincount(ledgers, minlength=1) > 1)[ledgers]
    turning = _turning_owners(levels, owners, ledgers, weights)
    if turning is not None:
        is_walked |= turning[owners.of_ledger[ledgers]]
    is_recorded = ~is_walked
    verdicts[ordered[is_recorded]] = _RECORD
    reached[ordered[is_recorded]] += weights[is_recorded]
    walked = is_walked.nonzero()[0].tolist()
    if walked:
        walk = _OrderedRows(geometry, levels, owners)
        for position in walked:
            row = int(ordered[position])
            index, weight = int(ledger_index[row]), float(weights[position])
            verdicts[row] = walk.decide(row, index, int(labels[row]), rows.embeddings[row], weight)
            reached[row] = walk.cqs(index)
        walk.mark_over(is_over, owners.of_ledger[ledger_index])
    before, after = _running_cqs(reached, verdicts, ledger_index, start)
    return Assessment(verdicts, distances, sqs, before, after, is_over)


def _rows_over(owners: Owners, ledger_index: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Whether the owner of each row was over before the batch, (B,)."""
    if np.count_nonzero(owners.lacking) == len(owners.lacking):
        # In most batches no owner is over.
        return np.zeros(len(ledger_index), np.bool_)
    is_over: NDArray[np.bool_] = (owners.lacking == 0)[owners.of_ledger[ledger_index]]
    return is_over


def _turning_owners(
    levels: LedgerLevels, owners: Owners, ledgers: NDArray[np.integer], weights: FloatArray
) -> NDArray[np.bool_] | None:
    """Owners that may get over if all of R rows are recorded, (O,); None if none may.

    `ledgers` (R,) are those of the rows, and `weights` (R,) what each would add. The rows of
    these owners are decided in order, across their ledgers.
    """
    gained = np.bincount(ledgers, weights, len(levels.cqs))
    # Weights are summed in another order than in the ledgers: the slack is far above the rounding.
    reach = (levels.cqs + gained) * _ABOVE_ROUNDING
    is_crossing = (reach > levels.thresholds) & (levels.cqs <= levels.thresholds)
    is_capped = None if owners.caps is None else reach > owners.caps
    if not np.count_nonzero(is_crossing) and (is_capped is None or not is_capped.any()):
        return None
    crossing = np.bincount(owners.of_ledger[is_crossing], minlength=len(owners.lacking))
    may_turn: NDArray[np.bool_] = crossing >= owners.lacking
    if is_capped is not None:
        may_turn[owners.of_ledger[is_capped]] = True
    may_turn &= owners.lacking > 0
    return may_turn


class _OrderedRows:
    """The part of the step in which a row can change the verdict of the next."""

    def __init__(self, geometry: Geometry, levels: LedgerLevels, owners: Owners) -> None:
        self._geometry = geometry
        self._owners = owners
        self._cqs = levels.cqs.tolist()
        self._thresholds = levels.thresholds
        self._lacking: dict[int, int] = {}
        self._turned: dict[int, int] = {}
        self._fresh: dict[int, FreshRecords] = {}

    def cqs(self, index: int) -> float:
        """Cqs of a ledger after the rows that were decided so far."""
        return float(self._cqs[index])

    def decide(
        self, row: int, index: int, label: int, embedding: NDArray[np.float32], weight: float
    ) -> Verdict:
        """Verdict on a row that is sensitive and novel before the batch."""
        wide = embedding.astype(np.float64)
        fresh = self._fresh.get(index)
        if fresh is None:
            fresh = self._fresh[index] = FreshRecords(len(wide))
        if fresh.cover(wide, self._geometry.coverage_radius[label]):
            return Verdict.PRESERVE
        owner, before = int(self._owners.of_ledger[index]), self._cqs[index]
        lacking = self._lacking.get(owner)
        if lacking is None:
            lacking = int(self._owners.lacking[owner])
        if before > self._thresholds[index] and not lacking:
            return Verdict.REVERSE
        fresh.append(wide)
        self._cqs[index] = before + weight
        if lacking:
            self._lacking[owner] = left = self._left(lacking, index, before)
            if not left:
                self._turned[owner] = row
        return Verdict.RECORD

    def mark_over(self, is_over: NDArray[np.bool_], owner: NDArray[np.integer]) -> None:
        """Mark the rows, of `is_over` and `owner` (B,), that follow the one that put them over."""
        for turned, row in self._turned.items():
            is_over[row + 1 :] |= owner[row + 1 :] == turned

    def _left(self, lacking: int, index: int, before: float) -> int:
        """Classes that an owner lacks after the record that raised a ledger from `before`."""
        after, caps = self._cqs[index], self._owners.caps
        if caps is not None and after > caps[index]:
            return 0
        return lacking - bool(before <= self._thresholds[index] < after)


def _running_cqs(
    reached: FloatArray,
    verdicts: NDArray[np.uint8],
    ledger_index: NDArray[np.integer],
    start: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Cqs of each row's ledger before and after the row, (B,) each.

    It is `start` (B,) before the batch; at recorded rows it is `reached` (B,) after them.
    Nothing is summed again: another order would be off in the last bits, and a ledger beside
    its threshold could look as if it had crossed it.
    """
    recorded = verdicts == _RECORD
    if not recorded.any():
        return start, start
    order = np.argsort(ledger_index, kind="stable")
    first = np.r_[True, np.diff(ledger_index[order]) != 0]
    # For each row the latest recorded row of its ledger up to it, else the ledger's first row.
    latest = np.where(first | recorded[order], np.arange(len(order)), 0)
    carried = np.where(recorded, reached, start)[order][np.maximum.accumulate(latest)]
    before, after = np.empty_like(start), np.empty_like(start)
    after[order] = carried
    before[order] = np.where(first, start[order], np.r_[0.0, carried[:-1]])
    return before, after
