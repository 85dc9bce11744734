"""Rows near a record that an earlier row of the same batch makes."""

from __future__ import annotations

import numpy as np

from queen.method.coverage import covered_by_fresh
from queen.method.ledger import LedgerRows, Verdict

P, R = Verdict.PRESERVE, Verdict.RECORD
POINTS = np.array([[0, 0], [0.5, 0], [0.5, 0], [0, 1], [0.1, 0]], np.float32)
VERDICTS = np.array([R, P, P, P, P], np.uint8)


def covered(ledgers: list[int], is_open: list[bool], radius: float = 0.5) -> list[bool]:
    """The rows that the record of the first row covers."""
    rows = LedgerRows(POINTS, np.zeros(5, int), np.array(ledgers))
    claims = covered_by_fresh(rows, np.full(5, radius), VERDICTS, np.array(is_open))
    return claims.tolist()


def test_a_row_is_covered_within_r_of_an_earlier_record_of_its_ledger() -> None:
    """At the distance r as well; not in another ledger, not farther off, not before the record."""
    assert covered([0, 0, 1, 0, 0], [True] * 5) == [False, True, False, False, True]
    assert covered([0] * 5, [True] * 5, radius=0.4) == [False, False, False, False, True]


def test_only_open_rows_are_asked_about() -> None:
    """Rows that a record before the batch covers need no second one."""
    assert covered([0] * 5, [False, False, True, True, False]) == [False, False, True, False, False]


def test_without_a_fresh_record_nothing_is_covered() -> None:
    """A batch that records nothing covers nothing."""
    rows = LedgerRows(POINTS, np.zeros(5, int), np.zeros(5, int))
    claims = covered_by_fresh(rows, np.full(5, 9.0), np.full(5, P), np.ones(5, bool))
    assert not claims.any()
