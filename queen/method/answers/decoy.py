"""Decoy answers, for an account over its budget that may learn nothing more.

A decoy is a small keyed classifier of its own. It sees a sketch of the input, never anything
that the protectee computed, so its answers carry no information about the protectee beyond the
few figures it was fitted with (`SketchSpace`): a thief could have made such answers without
asking. And because a decoy is smooth, a copy trained on its answers learns the decoy.

Shapes: B queries, S numbers of a sketch, R axes, C classes.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queen.errors import FitError, ShapeMismatch
from queen.method.answers.label_preserving import softmax
from queen.method.answers.rounding import round_answers
from queen.method.geometry import FloatArray, LabelArray, SingleArray, class_means

SKETCH_SIDE = 7
"""Images are sketched as 7 x 7 block means of their brightness."""
SKETCH_WIDTH = 64
"""Largest width of a sketch of anything else."""
LEAST_RANK, LARGEST_RANK = 4, 16
_KEPT_VARIANCE = 0.95
_GRID = 2.0**20
_FARTHEST = 1e38
_SAMPLES = 2048
_DRAWS = 32


def sketch_inputs(inputs: NDArray[Any]) -> FloatArray:
    """Sketches (B, S) of inputs (B, ...), computed row by row.

    Images, (H, W), (channels, H, W) or (H, W, channels) of at least 7 x 7, become block
    means over all channels; anything else the means of up to 64 stretches of its numbers.
    """
    if inputs.dtype == np.float64:
        # Sums of such numbers, or float32, must not overflow.
        inputs = np.clip(inputs, -_FARTHEST, _FARTHEST)
    shape = inputs.shape[1:]
    images = _as_planes(inputs) if len(shape) in (2, 3) else None
    if images is not None and min(images.shape[1:]) >= SKETCH_SIDE:
        rows = _block_means(images.astype(np.float64, copy=False), 1, SKETCH_SIDE)
        return _block_means(rows, 2, SKETCH_SIDE).reshape(len(inputs), SKETCH_SIDE**2)
    flat = inputs.reshape(len(inputs), math.prod(shape)).astype(np.float64, copy=False)
    return _block_means(flat, 1, min(SKETCH_WIDTH, flat.shape[1]))


def sketch_width(input_shape: tuple[int, ...]) -> int:
    """S, for inputs of this shape without the batch axis."""
    return int(sketch_inputs(np.zeros((1, *input_shape), np.float32)).shape[1])


@dataclass(frozen=True, eq=False)
class SketchSpace:
    """The frame in which decoys are drawn: all that they know of the training set.

    `mean` (S,) and `axes` (S, R) turn sketches into R uncorrelated numbers of variance 1;
    `class_means` (C, R) is where the classes lie among them; `confidence` is the
    protectee's mean largest probability, which decoys imitate.
    """

    mean: SingleArray
    axes: SingleArray
    class_means: SingleArray
    confidence: float

    def __post_init__(self) -> None:
        if self.axes.ndim != 2 or self.mean.shape != self.axes.shape[:1]:
            raise ShapeMismatch(
                f"expected a mean (S,) and axes (S, R), got {self.mean.shape}, {self.axes.shape}"
            )
        if self.class_means.ndim != 2 or self.class_means.shape[1] != self.axes.shape[1]:
            raise ShapeMismatch(
                f"expected class means (C, {self.axes.shape[1]}), got {self.class_means.shape}"
            )
        arrays = (self.mean, self.axes, self.class_means)
        if not all(np.isfinite(array).all() for array in arrays):
            raise ShapeMismatch("expected finite sketch moments, got NaN or infinity")
        if not 0 < self.confidence <= 1:
            raise ShapeMismatch(f"expected a confidence in (0, 1], got {self.confidence}")


def fit_sketch_space(
    sketches: FloatArray, labels: LabelArray, num_classes: int, confidence: float
) -> SketchSpace:
    """Principal axes of training sketches (N, S): those of 95 % of the variance, 4 to 16 of them.

    Only these, because the rest is noise that a copy could not learn, and a decoy that is
    not learned is averaged away. Not fewer, if there are more, because on one axis a decoy
    knows two classes only. `labels` (N,) are the true classes. Raises FitError if all
    sketches are the same.
    """
    mean = sketches.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(sketches.T).reshape(len(mean), len(mean)))
    variances, axes = variances[::-1], axes[:, ::-1]
    if not variances[0] > 1e-12:
        raise FitError("expected inputs that differ, got a training set of one and the same")
    share = np.cumsum(variances) / variances.sum()
    wanted = int(np.searchsorted(share, _KEPT_VARIANCE)) + 1
    varying = int((variances > 1e-9 * variances[0]).sum())
    rank = min(max(wanted, LEAST_RANK), LARGEST_RANK, varying)
    scaled = axes[:, :rank] / np.sqrt(variances[:rank])
    # An eigenvector's sign is the solver's choice; the bundle must not depend on it.
    scaled *= np.sign(scaled[np.abs(scaled).argmax(axis=0), np.arange(rank)])
    means = class_means((sketches - mean) @ scaled, labels, num_classes)
    single = np.float32
    return SketchSpace(mean.astype(single), scaled.astype(single), means.astype(single), confidence)


@dataclass(frozen=True, eq=False)
class Decoy:
    """A keyed classifier of sketches: `weights` (R, C), and logits per unit, `sharpness`."""

    space: SketchSpace
    weights: FloatArray
    sharpness: float

    def answers(self, sketches: NDArray[np.floating]) -> SingleArray:
        """Points of the simplex for sketches (B, S), (B, C) float32, rounded as other answers are.

        The same sketch gets the same bits in any batch: the logits are rounded to a grid
        that is coarser than the rounding by which matrix products of two batch sizes differ.
        """
        if sketches.ndim != 2 or sketches.shape[1] != len(self.space.mean):
            raise ShapeMismatch(
                f"expected sketches (B, {len(self.space.mean)}), got {sketches.shape}"
            )
        centered = sketches.astype(np.float64) - self.space.mean
        # An input far from the training set must not make one class certain.
        axes = np.clip(centered @ self.space.axes, -4.0, 4.0)
        logits = np.round(self.sharpness * (axes @ self.weights) * _GRID) / _GRID
        return round_answers(softmax(logits))


def make_decoy(secret: bytes, bundle_digest: str, space: SketchSpace) -> Decoy:
    """The decoy of this secret and bundle, the same for every account and every replica.

    Each class is a random direction w_c of length 1 in the sketch space: its logit has mean
    0 and variance 1 over the training set, so every class is answered about as often. The first of
    the keyed draws is chosen that is expected to be right no more often than chance.
    """
    stream = _KeyedStream(hmac.digest(secret, b"decoy " + bundle_digest.encode(), "sha256"))
    classes, rank = space.class_means.shape
    noise = stream.normal(_SAMPLES * rank).reshape(_SAMPLES, rank)
    best, lowest = None, np.inf
    for _ in range(_DRAWS):
        weights = stream.normal(rank * classes).reshape(rank, classes)
        weights /= np.linalg.norm(weights, axis=0)
        agreement = _expected_agreement(space, weights, noise)
        if agreement < lowest:
            best, lowest = weights, agreement
        if lowest <= 1.0 / classes:
            break
    if best is None:
        raise FitError("expected a finite agreement of a decoy with the classes, got NaN")
    return Decoy(space, best, _matching_sharpness(noise @ best, space.confidence))


def _expected_agreement(space: SketchSpace, weights: FloatArray, noise: FloatArray) -> float:
    """Share of sketches whose decoy class is their own, if classes are normal, (R, C) -> scalar.

    The variance within a class is 1 less that of the class means, on every axis.
    """
    means = space.class_means.astype(np.float64)
    labels = np.arange(len(noise)) % len(means)
    within = np.sqrt(np.maximum(1.0 - np.square(means).mean(axis=0), 0.05))
    logits = (means[labels] + within * noise) @ weights
    return float((logits.argmax(axis=1) == labels).mean())


def _matching_sharpness(logits: FloatArray, confidence: float) -> float:
    """The factor at which the mean largest probability is `confidence`, by bisection."""
    low, high = 1e-3, 1e3
    for _ in range(50):
        middle = float(np.sqrt(low * high))
        if softmax(middle * logits).max(axis=1).mean() < confidence:
            low = middle
        else:
            high = middle
    return low


class _KeyedStream:
    """Normal numbers from an extendable keyed hash, the same with every version of NumPy."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._drawn = 0

    def normal(self, count: int) -> FloatArray:
        """`count` standard normal numbers, by Box and Muller."""
        pairs = (count + 1) // 2
        block = self._key + self._drawn.to_bytes(8, "little")
        self._drawn += 1
        words = np.frombuffer(hashlib.shake_256(block).digest(16 * pairs), "<u8")
        # In (0, 1]: the logarithm of 0 would be infinite.
        uniform = ((words >> np.uint64(11)) + np.uint64(1)).astype(np.float64) / 2.0**53
        radius = np.sqrt(-2.0 * np.log(uniform[:pairs]))
        angle = 2.0 * np.pi * uniform[pairs:]
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


def _as_planes(inputs: NDArray[Any]) -> NDArray[Any]:
    """(B, H, W): the mean over the channels, wherever they are."""
    if inputs.ndim == 3:
        return inputs
    channels_last = inputs.shape[3] <= 4 < inputs.shape[1]
    planes: NDArray[Any] = inputs.mean(axis=3 if channels_last else 1, dtype=np.float64)
    return planes


def _block_means(values: FloatArray, axis: int, blocks: int) -> FloatArray:
    """Means of `blocks` stretches, as equal as may be, along an axis."""
    edges = np.arange(blocks + 1) * values.shape[axis] // blocks
    sums = np.add.reduceat(values, edges[:-1], axis=axis)
    shape = [-1 if dimension == axis else 1 for dimension in range(values.ndim)]
    lengths = np.diff(edges).reshape(shape)
    means: FloatArray = sums / lengths
    return means
