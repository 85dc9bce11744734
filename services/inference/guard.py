"""The last look at answers: what breaks the contract of its profile does not leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter

from queen.errors import ContractViolated
from queen.method.contracts import Profile

from .failure import SingleArray, protect_answers

RowIndex = NDArray[np.int64]
Profiles = NDArray[np.uint8]
"""The profile of each row (B,), as PROFILE_CODES has it."""
PROFILE_CODES = {
    Profile.OBSERVE: 0,
    Profile.PAPER: 1,
    Profile.SAFE: 2,
    Profile.BALANCED: 3,
    Profile.STRICT: 4,
}
"""Profiles as the wire numbers them; observe and safe never travel."""
REVERSED = (Profile.PAPER, Profile.BALANCED, Profile.STRICT)
"""Profiles whose flagged rows the perturber answers."""

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
