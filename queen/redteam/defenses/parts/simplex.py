"""Answers as points of the simplex near the protectee's own answer.

Shapes: B batch, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queen.redteam.targets.base import Answers

FloatArray = NDArray[np.float64]

LEAD = 1e-5
"""Lead of the label in an answer of a baseline that keeps it: a tie would keep no label."""

# The lead counts twice (one class gains, the others lose), and float32 rounds on top.
_SLACK = 3 * LEAD


def on_simplex(rows: NDArray[np.floating]) -> FloatArray:
    """Rows (B, C) of non-negative numbers, divided by their sums in float64."""
    wide: FloatArray = np.array(rows, np.float64)
    wide /= wide.sum(axis=1, keepdims=True)
    return wide


def one_hot(labels: NDArray[np.int64], classes: int) -> FloatArray:
    """Labels (B,) -> (B, C)."""
    rows = np.zeros((len(labels), classes))
    rows[np.arange(len(labels)), labels] = 1.0
    return rows


def as_answers(rows: FloatArray) -> Answers:
    """Rows (B, C) that sum to 1 up to rounding -> answers that sum to 1."""
    return on_simplex(np.maximum(rows, 0.0)).astype(np.float32)


def l1_room(distance: float) -> float:
    """The L1 distance to search in, so that the lead and float32 end within `distance`."""
    return distance - _SLACK


def with_lead(rows: FloatArray, labels: NDArray[np.int64]) -> FloatArray:
    """(1 - LEAD) x + LEAD e_y: where x_y >= x_j for all j, the label y (B,) now leads."""
    return (1.0 - LEAD) * rows + LEAD * one_hot(labels, rows.shape[1])


def drawn_within(rows: FloatArray, start: FloatArray, distance: float) -> FloatArray:
    """The farthest point of each segment from `start` to `rows`, (B, C), within an L1 distance."""
    step = rows - start
    length = np.abs(step).sum(axis=1, keepdims=True)
    share = np.minimum(1.0, distance / np.maximum(length, 1e-300))
    moved: FloatArray = start + share * step
    return moved
