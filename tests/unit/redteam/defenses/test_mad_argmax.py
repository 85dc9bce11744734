"""MAD-argmax against its equation, written the slow way."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from queen.errors import ConfigError
from queen.redteam.defenses.mad_argmax import maximize_angular_deviation
from queen.redteam.defenses.parts.surrogates import class_probabilities, random_network
from tests.unit.redteam.defenses.slow_equations import (
    draw_answers,
    draw_inputs,
    log_likelihood_gradients,
)


def _best_by_hand(gradients: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The vertex of the published objective, and from y toward it to an L1 distance of 1."""
    label, true = int(y.argmax()), gradients.T @ y
    others = [k for k in range(len(y)) if k != label]
    best, best_value = y, -1.0
    for size in range(len(y)):
        for members in itertools.combinations(others, size):
            vertex = np.zeros(len(y))
            vertex[[label, *members]] = 1 / (size + 1)
            turned = gradients.T @ vertex
            deviation = turned / np.linalg.norm(turned) - true / np.linalg.norm(true)
            if (value := float(deviation @ deviation)) > best_value:
                best, best_value = vertex, value
    return y + min(1.0, 1.0 / np.abs(best - y).sum()) * (best - y)


def test_mad_is_the_published_objective_over_the_last_layer():
    """The angle between x - q and y - q is the angle of the gradients of the last weights."""
    network, inputs, y = random_network("digits", 1).double(), draw_inputs(6), draw_answers(6)
    answers = maximize_angular_deviation(y, class_probabilities(network, inputs))
    for row, truth, answer in zip(inputs, y.astype(np.float64), answers, strict=True):
        gradients = log_likelihood_gradients(network, row, [network[-1].weight])
        np.testing.assert_allclose(answer, _best_by_hand(gradients, truth), atol=1e-4)


def test_mad_refuses_more_classes_than_it_can_search():
    """2^(C - 1) vertices are too many well before C = 100."""
    y = np.full((1, 100), 0.01, np.float32)
    with pytest.raises(ConfigError, match="at most 14 classes"):
        maximize_angular_deviation(y, y.astype(np.float64))
