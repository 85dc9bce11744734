"""Label-preserving perturbation in closed form.

The feature moves toward the farthest feature center, f + s v, while the predicted
label stays. With a linear head the logits are linear in s, so the largest step
that keeps the label is a minimum of C ratios and no loop is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from queen.errors import ShapeMismatch
from queen.method.geometry import FloatArray, SingleArray

STEP = 0.05
MAX_STEPS = 20


@dataclass(frozen=True, eq=False)
class LinearHead:
    """The protectee's last layer, logits = W f + b, with its feature centers.

    `weight` W (C, D), `bias` b (C,), `feature_centers` F (C, D); `spread` is the mean
    distance of a training sample to its feature center, the unit of a step.
    """

    weight: SingleArray
    bias: SingleArray
    feature_centers: SingleArray
    spread: float

    def __post_init__(self) -> None:
        shapes = (self.weight.shape, self.bias.shape, self.feature_centers.shape)
        if shapes != (shapes[0], shapes[0][:1], shapes[0]) or len(shapes[0]) != 2:
            raise ShapeMismatch(f"expected W (C, D), b (C,), feature centers (C, D), got {shapes}")
        if not (np.isfinite(self.spread) and self.spread > 0):
            raise ShapeMismatch(f"expected a feature spread above 0, got {self.spread}")
        if not all(np.isfinite(a).all() for a in (self.weight, self.bias, self.feature_centers)):
            raise ShapeMismatch("expected finite W, b and feature centers, got NaN or infinity")

    @cached_property
    def wide_centers(self) -> FloatArray:
        """Feature centers in float64, (C, D)."""
        return self.feature_centers.astype(np.float64)

    @cached_property
    def squared_norms(self) -> FloatArray:
        """||F_c||^2, (C,)."""
        norms: FloatArray = np.square(self.wide_centers).sum(axis=1)
        return norms

    @cached_property
    def center_responses(self) -> FloatArray:
        """W F_c for every class c, (C, C)."""
        responses: FloatArray = self.wide_centers @ self.weight.astype(np.float64).T
        return responses


def softmax(logits: NDArray[np.floating]) -> FloatArray:
    """Softmax over the last axis, (B, C) -> (B, C) float64."""
    shifted: FloatArray = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    shifted /= shifted.sum(axis=1, keepdims=True)
    return shifted


def preserve_label(head: LinearHead, logits: SingleArray, features: SingleArray) -> SingleArray:
    """Soften B answers as far as their labels allow: (B, C), (B, D) -> (B, C) float32.

    v = (F_far - f) / ||F_far - f||, and s is the largest of k * STEP * spread,
    k <= MAX_STEPS, at which argmax(logits + s W v) is still argmax(logits).
    The sums run in float64, so that rounding to float32 hides the order of the terms:
    a row's answer does not depend on its neighbors in the batch.
    """
    wide = features.astype(np.float64)
    far, length = _farthest_center(head, wide)
    # W v = (W F_far - W f) / ||F_far - f||, and W f is logits - b.
    direction = head.center_responses[far] - (logits.astype(np.float64) - head.bias)
    # A feature that lies on its farthest center has nowhere to go.
    direction /= np.where(length > 0, length, np.inf)[:, None]
    labels = logits.argmax(axis=1)
    steps = largest_steps(logits, direction, labels, STEP * head.spread)
    moved = logits + (steps * STEP * head.spread)[:, None] * direction
    return _keep_label(softmax(moved).astype(np.float32), labels)


def largest_steps(
    logits: NDArray[np.floating],
    direction: FloatArray,
    labels: NDArray[np.integer],
    step: float,
) -> FloatArray:
    """Whole steps that keep the label: min over j of (l_y - l_j) / (u_j - u_y), (B,).

    `logits` l (B, C), `direction` u (B, C) change of the logits per unit of s, `labels` y
    (B,), `step` the length of a step. Strictly fewer than the number of steps that would make a
    tie.
    """
    rows = np.arange(len(labels))
    gap = logits[rows, labels][:, None].astype(np.float64) - logits
    closing = (direction - direction[rows, labels][:, None]) * step
    ratios = np.full(gap.shape, np.inf)
    np.divide(gap, closing, out=ratios, where=closing > 0)
    steps: FloatArray = np.clip(np.ceil(ratios.min(axis=1)) - 1, 0, MAX_STEPS)
    return steps


def _farthest_center(
    head: LinearHead, features: FloatArray
) -> tuple[NDArray[np.int64], FloatArray]:
    """Index of the farthest feature center of each row and its distance, (B,) each."""
    # ||f - F_c||^2 less ||f||^2, which no choice of c changes.
    relative = head.squared_norms - 2.0 * (features @ head.wide_centers.T)
    far = relative.argmax(axis=1)
    offset = head.wide_centers[far] - features
    return far, np.sqrt(np.einsum("bd,bd->b", offset, offset))


def _keep_label(answers: SingleArray, labels: NDArray[np.int64]) -> SingleArray:
    """Undo the ties that rounding to float32 can make."""
    for row in np.flatnonzero(answers.argmax(axis=1) != labels):
        answers[row, labels[row]] = np.nextafter(answers[row].max(), np.float32(2))
    return answers
