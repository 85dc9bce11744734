"""Rounded answers, so that queries that are nearly the same have the same answer.

A query beside one that an account was charged for is free. In single precision, two answers tell
the slope of the protectee between their queries, and the slopes at a few images teach a copy more
than many images do. On a coarse grid, neighbors tell nothing but the points where a number jumps.

Shapes: B queries, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray, SingleArray

STEP = 0.01
"""The step of the grid for up to ten classes; with more, the rest of all classes stays below a
tenth."""
_JUST_BELOW = 1e-4
"""A number so near below a multiple, as a share of the step, is that multiple in float32."""


def grid_step(classes: int) -> float:
    """h = min(0.01, 1 / (10 C)): the step of the grid of answers."""
    return min(STEP, 0.1 / classes)


def round_answers(answers: NDArray[np.floating]) -> SingleArray:
    """Answers (B, C) on the grid, each with the label that it had; (B, C) float32.

    Every class but the largest goes to the nearest multiple of the step h, and not below
    h / (10 C): a softmax is never 0, and callers compute logarithms. The largest takes the rest.
    Where it would no longer lead by h / 4, the others fall to the multiple below instead, and
    those that are still too near by a step more. A row with a NaN stays as it is.
    """
    p: FloatArray = np.asarray(answers, np.float64)
    step = grid_step(p.shape[1])
    is_label = np.zeros(p.shape, np.bool_)
    is_label[np.arange(len(p)), p.argmax(axis=1)] = True
    rounded = _on_grid(np.rint(p / step), step, is_label)
    few = np.flatnonzero(_near(rounded, step, is_label).any(axis=1))
    if len(few):
        floored = _on_grid(np.floor(p[few] / step + _JUST_BELOW), step, is_label[few])
        # The rest is at least the label's own number, less a tenth of a step: one more is enough.
        lowered = floored / step - _near(floored, step, is_label[few])
        rounded[few] = _on_grid(lowered, step, is_label[few])
    broken = np.isnan(p).any(axis=1)
    rounded[broken] = p[broken]
    return rounded.astype(np.float32)


def _on_grid(multiples: FloatArray, step: float, is_label: NDArray[np.bool_]) -> FloatArray:
    """Multiples (B, C) of the step, of which the label's is what the others leave of 1."""
    classes = multiples.shape[1]
    others = np.where(is_label, 0.0, np.maximum(multiples * step, 0.1 * step / classes))
    return np.where(is_label, 1.0 - others.sum(axis=1, keepdims=True), others)


def _near(answers: FloatArray, step: float, is_label: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The classes (B, C) that the label does not lead by a quarter of a step."""
    label = np.where(is_label, answers, 0.0).sum(axis=1, keepdims=True)
    near: NDArray[np.bool_] = ~is_label & (answers > label - step / 4.0)
    return near
