"""The contract of each profile, as checks that run on every answer."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from queen.errors import ContractViolated
from queen.method.enforcement import Scope

SIMPLEX_TOLERANCE = 1e-6
SAFE_MARGIN = 0.01
SAFE_L1 = 1.0
BALANCED_L1 = 1.2
"""The L1 distance of `balanced` unless the operator states another."""


class Profile(StrEnum):
    """The way in which an account is answered."""

    PAPER = "paper"
    """Gradient reverse as published, which whoever reads the paper undoes: any simplex point."""
    SAFE = "safe"
    """Keeps the label with a margin of 0.01, within an L1 distance of 1: every answer tells it."""
    BALANCED = "balanced"
    """Within a stated L1 distance of the protectee's answer. Whoever learns the rule undoes it."""
    STRICT = "strict"
    """Once the account is over its budget, answers that tell nothing of the protectee."""
    REFUSE = "refuse"
    """Keeps every label; over the budget, requests with a query that repeats no record get none."""
    OBSERVE = "observe"
    """The protectee's own answer, untouched; verdicts are counted and logged."""


SCOPES = {
    Profile.PAPER: Scope.QUERY,
    Profile.SAFE: Scope.QUERY,
    Profile.BALANCED: Scope.ACCOUNT,
    Profile.STRICT: Scope.ACCOUNT,
    Profile.REFUSE: Scope.REPEATED,
    Profile.OBSERVE: Scope.QUERY,
}
"""The scope of each profile: the queries that are reversed after a crossing."""

ROUNDED = (Profile.STRICT, Profile.REFUSE)
"""Profiles whose answers all lie on the grid of `queen.method.answers.rounding`.

An answer of `safe` follows from one that does. `paper` answers as published, and `balanced` within
a distance that may be smaller than the grid's.
"""


Check = Callable[[slice], None]
"""Raises ContractViolated if an answer in some rows breaks its contract."""


def broken_rows(check: Check, count: int) -> NDArray[np.int64]:
    """Indices of the rows, of `count`, that a check refuses; all are checked together first."""
    rows: list[int] = []
    if count and _is_broken(check, slice(0, count)):
        rows = [row for row in range(count) if _is_broken(check, slice(row, row + 1))]
    return np.array(rows, np.int64)


def _is_broken(check: Check, rows: slice) -> bool:
    try:
        check(rows)
    except ContractViolated:
        return True
    return False


def check_simplex(answers: NDArray[np.floating]) -> None:
    """Require finite, non-negative rows (B, C) that sum to 1 within 1e-6.

    Raises ContractViolated.
    """
    # NaN fails both comparisons, so it needs no test of its own.
    if not (answers >= 0).all():
        raise ContractViolated("expected probabilities of at least 0, got a negative one or a NaN")
    off = np.abs(answers.sum(axis=1, dtype=np.float64) - 1.0)
    if not (off <= SIMPLEX_TOLERANCE).all():
        raise ContractViolated(f"expected rows that sum to 1, got one off by {off.max():.2e}")


def check_label_kept(answers: NDArray[np.floating], probabilities: NDArray[np.floating]) -> None:
    """Require the argmax of every answer (B, C) to be the protectee's; ContractViolated."""
    _require_labels(answers, probabilities.argmax(axis=1))


def _require_labels(answers: NDArray[np.floating], labels: NDArray[np.integer]) -> None:
    changed = int((answers.argmax(axis=1) != labels).sum())
    if changed:
        raise ContractViolated(f"expected every label kept, got {changed} changed")


def check_answers(
    profile: Profile,
    answers: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    *,
    labels: NDArray[np.integer] | None = None,
    balanced_l1: float = BALANCED_L1,
) -> None:
    """Require answers (B, C) to REVERSE verdicts to hold the profile's contract.

    `probabilities` (B, C) are the protectee's, and `labels` (B,) its predicted classes: by
    default their argmax, but two that differ as logits can be equal in float32. Raises
    ContractViolated. Answers to the other verdicts keep their labels: `check_label_kept`.
    """
    check_simplex(answers)
    if profile is Profile.BALANCED:
        _check_distance(answers, probabilities, balanced_l1)
    if profile is Profile.OBSERVE and not np.array_equal(answers, probabilities):
        raise ContractViolated("expected the protectee's own answers, got others")
    kept = probabilities.argmax(axis=1) if labels is None else labels
    if profile is Profile.REFUSE:
        _require_labels(answers, kept)
    if profile is Profile.SAFE:
        _require_labels(answers, kept)
        _check_safe(answers, probabilities)


def _check_safe(answers: NDArray[np.floating], probabilities: NDArray[np.floating]) -> None:
    ordered = np.sort(answers, axis=1)
    margin = (ordered[:, -1] - ordered[:, -2]).min(initial=1.0)
    if margin < SAFE_MARGIN:
        raise ContractViolated(f"expected a margin of at least {SAFE_MARGIN}, got {margin:.4f}")
    _check_distance(answers, probabilities, SAFE_L1)


def _check_distance(
    answers: NDArray[np.floating], probabilities: NDArray[np.floating], most: float
) -> None:
    moved = np.abs(answers - probabilities).sum(axis=1).max(initial=0.0)
    if not moved <= most:
        raise ContractViolated(f"expected an L1 distance of at most {most}, got {moved:.4f}")
