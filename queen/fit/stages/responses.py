"""Stage: run the protectee over its training set, and check that its head is linear."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queen.errors import FitError
from queen.fit.fitted import Responses
from queen.fit.graph.batch_axis import CHECKED_BATCHES, require_free_batch
from queen.fit.graph.session import Array, GraphSession
from queen.fit.graph.surgery import FEATURES, LOGITS, PROBABILITIES, Protectee
from queen.fit.progress import Update, ignore_progress

_ROWS = 512
_OUTPUTS = [PROBABILITIES, LOGITS, FEATURES]


def collect_responses(
    protectee: Protectee, x: Array, update: Update = ignore_progress
) -> Responses:
    """Check that the graph takes any batch, run it over `x` (N, ...), check its head.

    `update` is told how many rows of how many are done. Raises FitError if rows of a
    batch depend on each other, an answer is not finite, or logits != W f + b.
    """
    session, name = GraphSession(protectee.graph_bytes()), protectee.input.name
    samples = np.resize(x[: max(CHECKED_BATCHES)], (max(CHECKED_BATCHES), *x.shape[1:]))
    require_free_batch(session, name, samples, _OUTPUTS, protectee.fixed_batch)
    parts: list[list[Array]] = []
    for start in range(0, len(x), _ROWS):
        parts.append(session.run({name: x[start : start + _ROWS]}, _OUTPUTS))
        update(start + len(parts[-1][0]), len(x))
    responses = Responses(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    _require_finite(responses)
    _require_linear(protectee, responses)
    _require_softmax(responses)
    return responses


def _require_finite(responses: Responses) -> None:
    for name, values in zip(_OUTPUTS, _arrays(responses), strict=True):
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(bad):
            raise FitError(f"expected finite {name}, got NaN or infinity for row {bad[0]} of x")


def _arrays(responses: Responses) -> tuple[NDArray[np.float32], ...]:
    return responses.probabilities, responses.logits, responses.features


def _require_linear(protectee: Protectee, responses: Responses) -> None:
    """Logits == W f + b, within the rounding of the type that the graph computes in."""
    weight, bias = protectee.weight, protectee.bias
    if responses.features.shape[1] != weight.shape[1]:
        raise FitError(
            f"features {protectee.features_tensor!r}: expected {weight.shape[1]} numbers a sample, "
            f"as the head's weight has, got {responses.features.shape[1]}"
        )
    # A bound on the rounding of the sum, not of its result: terms may cancel.
    for start in range(0, len(responses.logits), 4096):
        rows = slice(start, start + 4096)
        features = responses.features[rows].astype(np.float64)
        expected = features @ weight.T + bias
        scale = np.abs(features) @ np.abs(weight.T) + np.abs(bias) + 1e-6
        off = np.abs(expected - responses.logits[rows]) / scale
        if off.max() > protectee.rounding:
            raise FitError(
                "head is not linear: expected logits = W f + b with f = "
                f"{protectee.features_tensor!r}, got logits that differ by up to "
                f"{np.abs(expected - responses.logits[rows]).max():.3g}"
            )


def _require_softmax(responses: Responses) -> None:
    """The graph's own softmax must be over the classes and of these logits."""
    rows = slice(0, 4096)
    shifted = responses.logits[rows] - responses.logits[rows].max(axis=1, keepdims=True)
    expected = np.exp(shifted.astype(np.float64))
    expected /= expected.sum(axis=1, keepdims=True)
    off = float(np.abs(expected - responses.probabilities[rows]).max())
    if off > 5e-3:
        raise FitError(
            f"expected probabilities = softmax(logits), got ones that differ by up to {off:.3g}; "
            "--output names the tensor that holds the classifier's answer"
        )
