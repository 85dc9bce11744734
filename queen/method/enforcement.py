"""Enforcement: verdicts on queries from the ledger step on the rows that charge their owners.

A query is charged to its account and to the account's group. The harsher verdict wins, and the
scope of the account's profile widens it.
"""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum, IntFlag
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray, Geometry
from queen.method.ledger import Assessment, Verdict


class Scope(IntEnum):
    """The queries that become REVERSE once the owner is over. The numbers are those of the wire."""

    QUERY = 1
    """Sensitive novel queries of crossed classes, as in the paper."""
    CLASS = 2
    """Every query of a crossed class."""
    ACCOUNT = 3
    """Every query, and every query of an off-distribution account."""
    REPEATED = 4
    """Every query but the account's records, sent again, and every query of an off-distribution
    account.

    A query repeats a record of the account's own ledger of the predicted class within
    `repeat_radius`. One that finds an owner over or off-distribution changes nothing, and the front
    door refuses a request with a REVERSE as a whole.
    """


class Cause(IntFlag):
    """Why a query was reversed; several may hold at once."""

    NONE = 0
    ACCOUNT = 1
    """The account is over its own budget."""
    GROUP = 2
    """The group is over its budget."""
    OFF_DISTRIBUTION = 4
    """Too many queries of the account or its group lie in the tail."""


REPEAT_SHARE = 0.05
"""Share of r within which a query repeats a record. The records of a spent budget cover a query in
25 by chance, and a thief who asks for free would have every answer after some slight changes of it;
repeated is one in thousands. The rounding of another machine is far smaller."""

_PRESERVE, _REVERSE = np.uint8(Verdict.PRESERVE), np.uint8(Verdict.REVERSE)
_BY_ACCOUNT, _BY_GROUP = np.uint8(Cause.ACCOUNT), np.uint8(Cause.GROUP)
_BY_METER = np.uint8(Cause.OFF_DISTRIBUTION)
# NumPy compares with a NumPy number many times faster than with an IntEnum.
_CLASS, _ACCOUNT, _REPEATED = (
    np.uint8(scope) for scope in (Scope.CLASS, Scope.ACCOUNT, Scope.REPEATED)
)


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
    """The state of the owners when R rows are charged to them."""

    thresholds: FloatArray
    """T of each row's ledger, (R,)."""
    is_off: NDArray[np.bool_]
    """Whether the row's owner was off-distribution before the row, (R,)."""
    is_repeated: NDArray[np.bool_] | None = None
    """Whether each query under `Scope.REPEATED` repeats a record of its account, (B,).

    Such a query is answered though its owners are over; None where that holds for no query.
    """


def repeat_radius(geometry: Geometry) -> FloatArray:
    """Distance to a record within which a query repeats it, (C,)."""
    radius: FloatArray = REPEAT_SHARE * geometry.coverage_radius
    return radius


def enforce(step: Assessment, charges: Charges, standing: Standing) -> Assessment:
    """Verdicts on B queries from those of the R ledger rows that they are charged to.

    The harshest verdict wins, and each query's scope widens it: what is recorded is the same under
    every scope, so that an account whose profile changes has the ledger it would always have had.
    Only under `Scope.REPEATED` does a query that finds an owner over or off-distribution change
    nothing: the step has not recorded it.
    """
    count = len(charges.scopes)
    has_groups = len(charges.row) > count
    # A scope that no query has is not computed.
    in_use = charges.scopes.tobytes()
    scopes = charges.scopes[charges.row] if has_groups else charges.scopes
    decided, is_off = step.verdicts, standing.is_off
    spent = decided == _REVERSE
    if _REPEATED in in_use:
        is_bound = is_unknown = scopes == _REPEATED
        if standing.is_repeated is not None:
            is_unknown = is_bound & ~standing.is_repeated[charges.row]
        # A repeated query may be novel to its group's ledger: it is answered all the same.
        decided = np.where(is_bound & spent, _PRESERVE, decided)
        spent = np.where(is_bound, is_unknown & step.is_over, spent)
    if _CLASS in in_use:
        is_crossed = step.cqs_before > standing.thresholds
        spent |= (scopes == _CLASS) & is_crossed & step.is_over
    if _ACCOUNT in in_use:
        spent |= (scopes == _ACCOUNT) & step.is_over
    causes = spent * _BY_ACCOUNT
    if has_groups:
        causes[count:] *= _BY_GROUP
    if _ACCOUNT in in_use:
        causes[(scopes == _ACCOUNT) & is_off] |= _BY_METER
    if _REPEATED in in_use:
        causes[is_bound & is_off] |= _BY_METER
    own, groups = slice(0, count), slice(count, None)
    verdicts = decided[own].copy()
    if has_groups:
        np.maximum.at(verdicts, charges.row[groups], decided[groups])
        np.bitwise_or.at(causes, charges.row[groups], causes[groups])
    causes = causes[own]
    verdicts[causes > 0] = _REVERSE
    return Assessment(
        verdicts,
        step.distances[own],
        step.sqs[own],
        step.cqs_before[own],
        step.cqs_after[own],
        causes=causes,
    )


def spare(assessment: Assessment, is_exempt: NDArray[np.bool_]) -> Assessment:
    """The assessment with no REVERSE for an exempt row, (B,); the records stay as they are."""
    spared = is_exempt & (assessment.verdicts == Verdict.REVERSE)
    if not spared.any():
        return assessment
    verdicts = np.where(spared, np.uint8(Verdict.PRESERVE), assessment.verdicts)
    causes = np.where(spared, np.uint8(Cause.NONE), assessment.causes)
    return replace(assessment, verdicts=verdicts, causes=causes)
