"""MAD-argmax: the answer whose gradient points farthest from the true one, label kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queen.errors import ConfigError
from queen.redteam.defenses.base import Answer, Asked, Defense, Training
from queen.redteam.defenses.parts.simplex import (
    FloatArray,
    as_answers,
    drawn_within,
    l1_room,
    on_simplex,
    with_lead,
)
from queen.redteam.defenses.parts.surrogates import class_probabilities, random_network
from queen.redteam.targets.base import Answers

_L1 = 1.0
# All 2^(C - 1) vertices are tried; those of more classes do not fit into memory.
_MOST_CLASSES = 14
_ROWS = 1024


def maximize_angular_deviation(
    probabilities: Answers, surrogate: FloatArray, l1: float = _L1
) -> Answers:
    """The answer within `l1` that deviates most, (B, C), (B, C) -> (B, C).

    Orekondy, Schiele, Fritz, "Prediction Poisoning", ICLR 2020, MAD-argmax: maximize
    || G'x / ||G'x|| - G'y / ||G'y|| ||^2, row k of G the gradient of the surrogate's
    log-likelihood of class k. As in the authors' own code G is of the last layer's weights:
    its rows are (e_k - q) times the layer's input, q the `surrogate` probabilities, so the
    angle is that between x - q and y - q. First the best vertex of {x_y >= x_j}, which is
    uniform over a set of classes that holds the label; then from y toward it until
    ||x - y||_1 = l1. Raises ConfigError past 14 classes.
    """
    if probabilities.shape[1] > _MOST_CLASSES:
        raise ConfigError(f"expected at most {_MOST_CLASSES} classes, got {probabilities.shape[1]}")
    start, labels = on_simplex(probabilities), probabilities.argmax(axis=1)
    best = np.concatenate(
        [
            _best_vertex(start[rows], labels[rows], surrogate[rows])
            for rows in (slice(i, i + _ROWS) for i in range(0, max(len(start), 1), _ROWS))
        ]
    )
    moved = drawn_within(best, start, l1_room(l1))
    return as_answers(with_lead(moved, labels))


def _best_vertex(start: FloatArray, labels: NDArray[np.int64], surrogate: FloatArray) -> FloatArray:
    """The vertex v whose v - q makes the largest angle with y - q, (B, C)."""
    vertices = _vertices(start.shape[1])
    true = start - surrogate
    along = true @ vertices.T - (true * surrogate).sum(axis=1, keepdims=True)
    length = (
        (vertices**2).sum(axis=1)
        - 2.0 * surrogate @ vertices.T
        + (surrogate**2).sum(axis=1, keepdims=True)
    )
    # The length of y - q is the same for every vertex of a row.
    cosine = along / np.sqrt(np.maximum(length, 1e-30))
    cosine[vertices[:, labels].T == 0.0] = np.inf
    best: FloatArray = vertices[cosine.argmin(axis=1)]
    return best


def _vertices(classes: int) -> FloatArray:
    """The uniform distribution over every set of classes that is not empty, (2^C - 1, C)."""
    members = np.arange(1, 2**classes)[:, None] >> np.arange(classes) & 1
    vertices: FloatArray = members / members.sum(axis=1, keepdims=True)
    return vertices


def _prepare(training: Training, seed: int) -> Answer:
    # In the authors' experience a surrogate at its random start works best.
    network = random_network(training.dataset, seed).double()

    def answer(asked: Asked) -> Answers:
        return maximize_angular_deviation(
            asked.probabilities, class_probabilities(network, asked.inputs)
        )

    return answer


DEFENSE = Defense(
    "mad-argmax", "gradient turned as far as L1 1 lets it, label kept", _prepare, strength=_L1
)
