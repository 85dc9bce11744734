"""The ledger step: from records and queries to verdicts and new records.

One micro-batch carries B queries of many accounts. It reaches L ledgers, one for
each (account, predicted class); `ledger_index` says which row belongs to which.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum, IntFlag
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.method.fresh_records import FreshRecords
from queen.method.geometry import FloatArray, Geometry, LabelArray
from queen.method.sensitivity import center_distances, record_weight, single_query_sensitivity


class Scope(IntEnum):
    """The queries that become REVERSE after a crossing. The numbers are those of the wire."""

    QUERY = 1
    """Queries that are inside a region and novel, as in the paper."""
    CLASS = 2
    """Every query of a crossed class."""
    ACCOUNT = 3
    """Every query, once any class is crossed or the account is off-distribution."""


# NumPy compares with a NumPy number many times faster than with an IntEnum.
_CLASS, _ACCOUNT = np.uint8(Scope.CLASS), np.uint8(Scope.ACCOUNT)


class Cause(IntFlag):
    """Why a query was reversed; several may hold at once."""

    NONE = 0
    ACCOUNT = 1
    """The account is over its own budget."""
    GROUP = 2
    """The group is over its budget."""
    OFF_DISTRIBUTION = 4
    """Too many queries of the account or its group lie in the tail."""


class Verdict(IntEnum):
    """The decision on a query. The numbers are those of the wire."""

    PRESERVE = 1
    RECORD = 2
    REVERSE = 3


_PRESERVE, _RECORD, _REVERSE = (np.uint8(verdict) for verdict in Verdict)
_BY_ACCOUNT, _BY_GROUP = np.uint8(Cause.ACCOUNT), np.uint8(Cause.GROUP)
_BY_METER = np.uint8(Cause.OFF_DISTRIBUTION)


class LedgerRows(NamedTuple):
    """B queries in order, each with the ledger that it reaches."""

    embeddings: NDArray[np.float32]
    """z, (B, E)."""
    labels: LabelArray
    """Predicted classes y, (B,)."""
    ledger_index: NDArray[np.integer]
    """(B,) in 0..L-1."""


class LedgerLevels(NamedTuple):
    """The cqs of L ledgers, and their thresholds."""

    cqs: FloatArray
    """(L,)."""
    thresholds: FloatArray
    """T, (L,)."""


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
    causes: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    """(B,) bits of `Cause`, 0 unless the verdict is REVERSE; empty before `enforce`."""
    facts: NDArray[np.void] | None = None
    """(B,) of `queen.method.facts.FACTS`, from which the verdicts follow; None if not asked for."""

    @property
    def recorded(self) -> NDArray[np.int64]:
        """Rows to append to their ledgers, in order."""
        rows: NDArray[np.int64] = (self.verdicts == _RECORD).nonzero()[0]
        return rows


def assess_rows(
    geometry: Geometry, rows: LedgerRows, nearest: FloatArray, levels: LedgerLevels
) -> Assessment:
    """Decide on B queries in order, against L ledgers at the `levels` before the batch.

    `nearest` (B,) is each row's distance to the records of its ledger before the batch,
    infinite where there is none.

        inside and novel and cqs >  T  -> REVERSE   nothing is recorded
        inside and novel and cqs <= T  -> RECORD    z is kept, cqs grows
        otherwise                      -> PRESERVE

    inside is d < rs_y; novel is farther than r_y from every record of the ledger,
    including the records that earlier rows of this batch added.
    """
    distances = center_distances(geometry, rows.embeddings, rows.labels)
    inside = distances < geometry.sensitive_radius[rows.labels]
    is_candidate = inside & (nearest > geometry.coverage_radius[rows.labels])
    return assess_candidates(geometry, rows, distances, is_candidate, levels)


def assess_candidates(
    geometry: Geometry,
    rows: LedgerRows,
    distances: FloatArray,
    is_candidate: NDArray[np.bool_],
    levels: LedgerLevels,
) -> Assessment:
    """`assess_rows` with the distances d (B,) and the marks of rows inside and novel (B,) given."""
    labels, ledger_index = rows.labels, rows.ledger_index
    sqs = single_query_sensitivity(geometry, distances, labels)
    verdicts = np.empty(len(labels), np.uint8)
    verdicts.fill(_PRESERVE)
    start = levels.cqs[ledger_index]
    novel = is_candidate.nonzero()[0]
    if not len(novel):
        return Assessment(verdicts, distances, sqs, start, start)
    is_crossed = (start > levels.thresholds[ledger_index])[novel]
    verdicts[novel[is_crossed]] = _REVERSE
    ordered = novel[~is_crossed]
    weights = record_weight(geometry, sqs[ordered])
    reached = start.copy()
    walk = _OrderedRows(geometry, levels)
    # A row alone in its ledger cannot change the verdict of another row: it is recorded.
    is_only = (np.bincount(ledger_index[ordered], minlength=1) == 1)[ledger_index[ordered]]
    verdicts[ordered[is_only]] = _RECORD
    reached[ordered[is_only]] += weights[is_only]
    for position in (~is_only).nonzero()[0].tolist():
        row = int(ordered[position])
        label, index = int(labels[row]), int(ledger_index[row])
        weight = float(weights[position])
        verdicts[row] = walk.decide(index, label, rows.embeddings[row], weight)
        reached[row] = walk.cqs(index)
    before, after = _running_cqs(reached, verdicts, ledger_index, start)
    return Assessment(verdicts, distances, sqs, before, after)


class _OrderedRows:
    """The part of the step in which a row can change the verdict of the next."""

    def __init__(self, geometry: Geometry, levels: LedgerLevels) -> None:
        self._geometry = geometry
        self._cqs = levels.cqs.tolist()
        self._thresholds = levels.thresholds
        self._fresh: dict[int, FreshRecords] = {}

    def cqs(self, index: int) -> float:
        """Cqs of a ledger after the rows that were decided so far."""
        return float(self._cqs[index])

    def decide(
        self, index: int, label: int, embedding: NDArray[np.float32], weight: float
    ) -> Verdict:
        """Verdict on a row that is inside its region and novel before the batch."""
        wide = embedding.astype(np.float64)
        fresh = self._fresh.get(index)
        if fresh is None:
            fresh = self._fresh[index] = FreshRecords(len(wide))
        if fresh.cover(wide, self._geometry.coverage_radius[label]):
            return Verdict.PRESERVE
        if self._cqs[index] > self._thresholds[index]:
            return Verdict.REVERSE
        fresh.append(wide)
        self._cqs[index] += weight
        return Verdict.RECORD


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


class Charges(NamedTuple):
    """The owners that B queries are charged to: R >= B rows, a row for each charge.

    The first B rows are the queries themselves, each against its account; the others
    charge the accounts' groups. `row` (R,) is the query of each charge, `owner` (R,) in 0..O-1
    the owner, and `scopes` (B,) are the numbers of `Scope`.
    """

    row: NDArray[np.int64]
    owner: NDArray[np.int64]
    scopes: NDArray[np.uint8]


class Standing(NamedTuple):
    """The state of O owners when R rows are charged to them."""

    thresholds: FloatArray
    """T of each row's ledger, (R,)."""
    is_crossed: NDArray[np.bool_]
    """Whether a class of the owner was crossed before the batch, (O,)."""
    is_off: NDArray[np.bool_]
    """Whether the row's owner was off-distribution before the row, (R,)."""


def enforce(step: Assessment, charges: Charges, standing: Standing) -> Assessment:
    """Verdicts on B queries from those of the R ledger rows that they are charged to.

    The harshest verdict wins, and each query's scope widens it: the records are the same under
    every scope, so that an account whose profile changes has the ledger it would always have had.
    """
    count = len(charges.scopes)
    has_groups = len(charges.row) > count
    # A scope that no query has is not computed.
    in_use = charges.scopes.tobytes()
    scopes = charges.scopes[charges.row] if has_groups else charges.scopes
    spent = step.verdicts == _REVERSE
    if _CLASS in in_use:
        spent |= (scopes == _CLASS) & (step.cqs_before > standing.thresholds)
    if _ACCOUNT in in_use:
        spent |= (scopes == _ACCOUNT) & owner_was_crossed(step, charges, standing)
    causes = spent * _BY_ACCOUNT
    if has_groups:
        causes[count:] *= _BY_GROUP
    if _ACCOUNT in in_use:
        causes[(scopes == _ACCOUNT) & standing.is_off] |= _BY_METER
    own, groups = slice(0, count), slice(count, None)
    verdicts = step.verdicts[own].copy()
    if has_groups:
        np.maximum.at(verdicts, charges.row[groups], step.verdicts[groups])
        np.bitwise_or.at(causes, charges.row[groups], causes[groups])
    causes = causes[own]
    verdicts[causes > 0] = _REVERSE
    return Assessment(
        verdicts,
        step.distances[own],
        step.sqs[own],
        step.cqs_before[own],
        step.cqs_after[own],
        causes,
    )


def owner_was_crossed(step: Assessment, charges: Charges, standing: Standing) -> NDArray[np.bool_]:
    """Whether a class of each row's owner was crossed before the row, (R,)."""
    crossed = (step.cqs_before > standing.thresholds) | standing.is_crossed[charges.owner]
    return crossed | _any_before(step.cqs_after > standing.thresholds, charges.owner)


def spare(assessment: Assessment, is_exempt: NDArray[np.bool_]) -> Assessment:
    """The assessment with no REVERSE for an exempt row, (B,); the records stay as they are."""
    spared = is_exempt & (assessment.verdicts == Verdict.REVERSE)
    if not spared.any():
        return assessment
    verdicts = np.where(spared, np.uint8(Verdict.PRESERVE), assessment.verdicts)
    causes = np.where(spared, np.uint8(Cause.NONE), assessment.causes)
    return replace(assessment, verdicts=verdicts, causes=causes)


def _any_before(claims: NDArray[np.bool_], owner: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether an earlier row of the same owner makes the claim, (R,)."""
    if not claims.any():
        return claims
    order = np.argsort(owner, kind="stable")
    total = np.cumsum(claims[order])
    first = np.r_[True, np.diff(owner[order]) != 0]
    # Claims before each owner's first row, carried over the owner's rows.
    offset = np.maximum.accumulate(np.where(first, total - claims[order], 0))
    is_claimed = np.empty_like(claims)
    is_claimed[order] = total - claims[order] > offset
    return is_claimed
