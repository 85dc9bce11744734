"""Invert: later answers are read as the classes that they hide."""

from __future__ import annotations

import numpy as np
import pytest

from queen.redteam.attacks.invert import explained, least_probable, true_classes
from tests.unit.redteam.attacks.distorted import (
    MANY,
    SHIFT,
    DistortedTarget,
    after_prefix,
    score,
    steal,
    thief_with,
    undefended,
)


@pytest.mark.parametrize("name", ["invert-permutation", "invert-mixture"])
def test_a_fixed_permutation_is_inverted(name: str):
    """Classes permuted after the first answers are read as the classes that they stand for."""
    permuted = after_prefix(lambda answers: answers[:, SHIFT])
    naive, _ = steal("knockoff", DistortedTarget(permuted), thief_with(MANY))
    copy, _ = steal(name, DistortedTarget(permuted), thief_with(MANY))
    assert score(naive) < 0.5
    assert score(copy) > score(undefended("knockoff", MANY)) - 0.05


def test_the_least_probable_class_undoes_a_reversal():
    """An answer that is nearly even but for the true class gives it away."""
    reversal = after_prefix(lambda answers: (1 - answers) / (1 - answers).sum(1, keepdims=True))
    copy, _ = steal("invert-argmin", DistortedTarget(reversal), thief_with(MANY))
    assert score(copy) > score(undefended("knockoff", MANY)) - 0.05


def test_a_returned_class_stands_for_its_majority():
    """A class that never came back stands for itself."""
    meaning = true_classes(np.array([0, 0, 0, 1]), np.array([1, 1, 0, 0]), 3)
    assert meaning.tolist() == [1, 0, 2]


def test_the_least_probable_of_equals_is_the_likeliest():
    """Among classes of equal probability the belief decides."""
    answers = np.array([[0.0, 0.0, 1.0]], np.float32)
    belief = np.array([[0.1, 0.6, 0.3]], np.float32)
    assert least_probable(answers, belief).tolist() == [[0, 1, 0]]


def test_a_mixture_learns_what_a_class_hides():
    """Beliefs that are right four times of five sharpen to the permutation behind the answers."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 10, 2000)
    guess = np.where(rng.random(2000) < 0.8, truth, rng.integers(0, 10, 2000))
    belief = (0.7 * np.eye(10)[guess] + 0.03).astype(np.float32)
    targets = explained(SHIFT[truth], belief)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-5)
    assert (targets.argmax(axis=1) == truth).mean() > 0.99
