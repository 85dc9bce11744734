"""The ledger step: from records and queries to verdicts and new records.

One micro-batch carries B queries of many accounts. It touches L ledgers, one for
each (account, predicted class); `ledger_index` says which row belongs to which.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum, IntFlag

import numpy as np
from numpy.typing import NDArray

from queen.method.fresh_records import FreshRecords
from queen.method.geometry import FloatArray, Geometry, LabelArray
from queen.method.sensitivity import center_distances, record_weight, single_query_sensitivity


class Scope(IntEnum):
    """How much of an account a spent budget turns to REVERSE; the numbers are those of the wire."""

    QUERY = 1
    """Queries that are inside a region and novel, as in the paper."""
    CLASS = 2
    """Every query whose class is over its threshold."""
    ACCOUNT = 3
    """Every query, once any class is over its threshold or the account is off-distribution."""


# NumPy compares with a number of its own many times faster than with an IntEnum.
_CLASS, _ACCOUNT = np.uint8(Scope.CLASS), np.uint8(Scope.ACCOUNT)


class Cause(IntFlag):
    """Why a query was reversed; several may hold at once."""

    NONE = 0
    ACCOUNT = 1
    """The account's own budget is spent."""
    GROUP = 2
    """The budget of its group is spent."""
    OFF_DISTRIBUTION = 4
    """Too many queries of the account or its group lie in the tail."""


class Verdict(IntEnum):
    """Decision on one query; the numbers are those of the wire."""

    PRESERVE = 1
    RECORD = 2
    REVERSE = 3


_PRESERVE, _RECORD, _REVERSE = (np.uint8(verdict) for verdict in Verdict)
_BY_ACCOUNT, _BY_GROUP = np.uint8(Cause.ACCOUNT), np.uint8(Cause.GROUP)
_BY_METER = np.uint8(Cause.OFF_DISTRIBUTION)


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
    causes: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    """(B,) bits of `Cause`, 0 unless the verdict is REVERSE; empty before `enforce`."""
    facts: NDArray[np.void] | None = None
    """(B,) of `queen.method.facts.FACTS`, what the verdicts follow from, if it was asked for."""

    @property
    def recorded(self) -> NDArray[np.int64]:
        """Rows to append to their ledgers, in order."""
        rows: NDArray[np.int64] = (self.verdicts == _RECORD).nonzero()[0]
        return rows


def assess_rows(
    geometry: Geometry,
    embeddings: NDArray[np.float32],
    labels: LabelArray,
    ledger_index: NDArray[np.integer],
    nearest: FloatArray,
    cqs: FloatArray,
    thresholds: FloatArray,
    distances: FloatArray | None = None,
) -> Assessment:
    """Take B queries in order against L ledgers.

    `embeddings` (B, E), `labels` (B,) predicted, `ledger_index` (B,) in 0..L-1,
    `nearest` (B,) distance to the row's ledger before the batch (infinite if empty),
    `cqs` (L,) before the batch, `thresholds` T (L,); `distances` d (B,), if they are known.

        inside and novel and cqs >  T  -> REVERSE   nothing is recorded
        inside and novel and cqs <= T  -> RECORD    z is kept, cqs grows
        otherwise                      -> PRESERVE

    inside is d < rs_y; novel is farther than r_y from every record of the ledger,
    the ones that earlier rows of this batch added included.
    """
    if distances is None:
        distances = center_distances(geometry, embeddings, labels)
    inside = distances < geometry.sensitive_radius[labels]
    candidates = inside & (nearest > geometry.coverage_radius[labels])
    return assess_candidates(
        geometry, embeddings, labels, ledger_index, candidates, cqs, thresholds, distances
    )


def assess_candidates(
    geometry: Geometry,
    embeddings: NDArray[np.float32],
    labels: LabelArray,
    ledger_index: NDArray[np.integer],
    candidates: NDArray[np.bool_],
    cqs: FloatArray,
    thresholds: FloatArray,
    distances: FloatArray,
) -> Assessment:
    """`assess_rows` where it is known which rows are inside and novel: `candidates` (B,)."""
    sqs = single_query_sensitivity(geometry, distances, labels)
    verdicts = np.empty(len(labels), np.uint8)
    verdicts.fill(_PRESERVE)
    start = cqs[ledger_index]
    novel = candidates.nonzero()[0]
    if not len(novel):
        return Assessment(verdicts, distances, sqs, start, start)
    is_spent = (start > thresholds[ledger_index])[novel]
    verdicts[novel[is_spent]] = _REVERSE
    ordered = novel[~is_spent]
    weights = record_weight(geometry, sqs[ordered])
    reached = start.copy()
    step = _OrderedRows(geometry, cqs, thresholds)
    # The only such row of its ledger changes no other's verdict, and is recorded.
    is_only = (np.bincount(ledger_index[ordered], minlength=1) == 1)[ledger_index[ordered]]
    verdicts[ordered[is_only]] = _RECORD
    reached[ordered[is_only]] += weights[is_only]
    for place in (~is_only).nonzero()[0].tolist():
        row = int(ordered[place])
        label, index = int(labels[row]), int(ledger_index[row])
        verdicts[row] = step.take(index, label, embeddings[row], float(weights[place]))
        reached[row] = step.cqs(index)
    before, after = _running_cqs(reached, verdicts, ledger_index, start)
    return Assessment(verdicts, distances, sqs, before, after)


class _OrderedRows:
    """The part of the step in which a row can change the verdict of the next."""

    def __init__(self, geometry: Geometry, cqs: FloatArray, thresholds: FloatArray) -> None:
        self._geometry = geometry
        self._cqs = cqs.tolist()
        self._thresholds = thresholds
        self._fresh: dict[int, FreshRecords] = {}

    def cqs(self, index: int) -> float:
        """Cqs of a ledger by now."""
        return float(self._cqs[index])

    def take(
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

    It is `start` (B,) before the batch; `reached` (B,) is what recorded rows took it to.
    Nothing is summed again: another order would be off in the last bits, and a ledger beside
    its threshold could look over it.
    """
    recorded = verdicts == _RECORD
    if not recorded.any():
        return start, start
    order = np.argsort(ledger_index, kind="stable")
    first = np.r_[True, np.diff(ledger_index[order]) != 0]
    # The latest row of the ledger, up to each row, that recorded; else its first.
    latest = np.where(first | recorded[order], np.arange(len(order)), 0)
    carried = np.where(recorded, reached, start)[order][np.maximum.accumulate(latest)]
    before, after = np.empty_like(start), np.empty_like(start)
    after[order] = carried
    before[order] = np.where(first, start[order], np.r_[0.0, carried[:-1]])
    return before, after


@dataclass(frozen=True, eq=False)
class Charges:
    """What each of B queries is charged to: R >= B rows, one for each ledger owner.

    The first B rows are the queries themselves, each against its account; the others
    charge the accounts' groups. `row` (R,) says whose query a row is, `owner` (R,) in 0..O-1
    who is charged, and `scopes` (B,) are the numbers of `Scope`.
    """

    row: NDArray[np.int64]
    owner: NDArray[np.int64]
    scopes: NDArray[np.uint8]


def enforce(
    step: Assessment,
    charges: Charges,
    thresholds: FloatArray,
    is_crossed: NDArray[np.bool_],
    is_off: NDArray[np.bool_],
) -> Assessment:
    """Verdicts on B queries from those of the R ledger rows that they are charged to.

    `thresholds` T (R,) of each row's ledger; `is_crossed` (O,) whether any class of an
    owner was over its threshold before the batch; `is_off` (R,) whether the row's owner
    was off-distribution before the row. The harshest verdict wins, and each query's scope
    widens it: the records are the same under every scope, so that an account whose
    profile changes has the ledger it would always have had.
    """
    count = len(charges.scopes)
    has_groups = len(charges.row) > count
    # What nobody's scope asks for is not computed.
    in_use = charges.scopes.tobytes()
    scopes = charges.scopes[charges.row] if has_groups else charges.scopes
    spent = step.verdicts == _REVERSE
    if _CLASS in in_use:
        spent |= (scopes == _CLASS) & (step.cqs_before > thresholds)
    if _ACCOUNT in in_use:
        spent |= (scopes == _ACCOUNT) & owner_was_crossed(step, charges, thresholds, is_crossed)
    causes = spent * _BY_ACCOUNT
    if has_groups:
        causes[count:] *= _BY_GROUP
    if _ACCOUNT in in_use:
        causes[(scopes == _ACCOUNT) & is_off] |= _BY_METER
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


def owner_was_crossed(
    step: Assessment,
    charges: Charges,
    thresholds: FloatArray,
    is_crossed: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Whether a class of each row's owner was over its threshold before the row, (R,).

    The arguments are those of `enforce`.
    """
    crossed = (step.cqs_before > thresholds) | is_crossed[charges.owner]
    return crossed | _any_before(step.cqs_after > thresholds, charges.owner)


def spare(assessment: Assessment, is_exempt: NDArray[np.bool_]) -> Assessment:
    """The assessment without a REVERSE of an exempt row, (B,); its records stay as they are."""
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
    found = np.empty_like(claims)
    found[order] = total - claims[order] > offset
    return found
