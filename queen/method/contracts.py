"""What each profile promises about an answer, as checks that run on every answer."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from queen.errors import ContractViolated

SIMPLEX_TOLERANCE = 1e-6
SAFE_MARGIN = 0.01
SAFE_L1 = 1.0


class Profile(StrEnum):
    """How an account's REVERSE verdicts are answered."""

    PAPER = "paper"
    """Gradient reverse as published: any point of the simplex."""
    SAFE = "safe"
    """Keeps the label with a margin of 0.01, within an L1 distance of 1."""
    OBSERVE = "observe"
    """The protectee's own answer, untouched; verdicts are counted and logged."""


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
    changed = int((answers.argmax(axis=1) != probabilities.argmax(axis=1)).sum())
    if changed:
        raise ContractViolated(f"expected every label kept, got {changed} changed")


def check_answers(
    profile: Profile, answers: NDArray[np.floating], probabilities: NDArray[np.floating]
) -> None:
    """Require answers (B, C) to REVERSE verdicts to hold the profile's contract.

    `probabilities` (B, C) are the protectee's. Raises ContractViolated.
    """
    check_simplex(answers)
    if profile is Profile.OBSERVE and not np.array_equal(answers, probabilities):
        raise ContractViolated("expected the protectee's own answers, got others")
    if profile is Profile.SAFE:
        _check_safe(answers, probabilities)


def _check_safe(answers: NDArray[np.floating], probabilities: NDArray[np.floating]) -> None:
    check_label_kept(answers, probabilities)
    ordered = np.sort(answers, axis=1)
    margin = (ordered[:, -1] - ordered[:, -2]).min(initial=1.0)
    if margin < SAFE_MARGIN:
        raise ContractViolated(f"expected a margin of at least {SAFE_MARGIN}, got {margin:.4f}")
    moved = np.abs(answers - probabilities).sum(axis=1).max(initial=0.0)
    if moved > SAFE_L1:
        raise ContractViolated(f"expected an L1 distance of at most {SAFE_L1}, got {moved:.4f}")
