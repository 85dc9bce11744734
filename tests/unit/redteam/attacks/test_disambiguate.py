"""Disambiguate: the true class is found on a short list."""

from __future__ import annotations

import numpy as np

from queen.redteam.attacks.disambiguate import narrowed, shortlist
from queen.redteam.targets.base import Answers
from tests.unit.redteam.attacks.distorted import MANY, DistortedTarget, score, steal, thief_with


def test_a_class_that_is_always_listed_is_found_out():
    """Most of the mass on another class, mostly the same one, misleads who believes the mass."""
    rng = np.random.default_rng(3)

    def distort(answers: Answers, _had: int) -> Answers:
        moves = np.where(rng.random(len(answers)) < 0.85, 1, 4)
        others = (answers.argmax(axis=1) + moves) % 10
        return (0.4 * answers + 0.6 * np.eye(10)[others]).astype(np.float32)

    believed, _ = steal("knockoff", DistortedTarget(distort), thief_with(MANY))
    listed, _ = steal("disambiguate", DistortedTarget(distort), thief_with(MANY))
    assert score(listed) > score(believed) + 0.3


def test_a_belief_is_narrowed_to_the_list():
    """Classes with a tenth are listed, and the largest always; rows sum to 1 without a belief."""
    answers = np.array([[0.6, 0.3, 0.05, 0.05], [0.25, 0.25, 0.25, 0.25]], np.float32)
    listed = shortlist(answers)
    assert listed.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    even = np.full((1, 20), 0.05, np.float32)
    even[0, 3] = 0.06
    assert shortlist(even).argmax() == 3
    assert shortlist(even).sum() == 1
    belief = np.array([[0.1, 0.3, 0.6, 0.0], [0.0, 0.0, 0.0, 0.0]], np.float32)
    expected = [[0.25, 0.75, 0, 0], [0.25, 0.25, 0.25, 0.25]]
    np.testing.assert_allclose(narrowed(listed, belief), expected, rtol=1e-6)
