"""The last look at answers: what breaks the contract of its profile does not leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import Counter

from queen.errors import ContractViolated
from queen_inference.answers.fallback import SingleArray, protect_answers
from queen_inference.answers.profiles import RowIndex

Check = Callable[[RowIndex | slice], None]
"""Raises ContractViolated if one of some rows breaks its contract."""


class ContractGuard:
    """Replaces the answers that break their contract by protect answers, and counts them."""

    def __init__(self, violations: Counter) -> None:
        self._violations = violations

    def hold(self, check: Check, answers: SingleArray, labels: RowIndex) -> None:
        """Check answers (B, C) to queries of labels (B,), and mend them in place."""
        if not len(answers):
            return
        try:
            check(slice(None))
        except ContractViolated:
            rows = [row for row in range(len(answers)) if _violates(check, row)]
            answers[rows] = protect_answers(labels[rows], answers.shape[1])
            self._violations.inc(len(rows))


def _violates(check: Callable[[Any], None], row: int) -> bool:
    try:
        check(slice(row, row + 1))
    except ContractViolated:
        return True
    return False
