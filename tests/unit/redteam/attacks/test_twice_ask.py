"""Twice-ask: answers that vary are not believed."""

from __future__ import annotations

import numpy as np

from queen.redteam.attacks.twice_ask import is_steady, likeliest
from queen.redteam.targets.base import Answers
from tests.unit.redteam.attacks.distorted import (
    MANY,
    DistortedTarget,
    score,
    steal,
    thief_with,
)


def test_what_varies_is_dropped():
    """Answers that are garbage at every second call are not learned by who asks twice."""
    rng = np.random.default_rng(2)

    def distort(answers: Answers, _had: int) -> Answers:
        is_bad = rng.random(len(answers)) < 0.5
        return np.where(is_bad[:, None], np.roll(answers, 1 + rng.integers(9), axis=1), answers)

    dropped, _ = steal("twice-ask-drop", DistortedTarget(distort), thief_with(MANY))
    believed, _ = steal("knockoff", DistortedTarget(distort), thief_with(MANY))
    assert score(dropped) > score(believed)


def test_the_early_copy_chooses_among_candidates():
    """The class that the copy likes most is no candidate, so the next one wins."""
    answers = np.array([[[0.6, 0.3, 0.1, 0.0]], [[0.3, 0.6, 0.1, 0.0]]], np.float32)
    belief = np.array([[0.1, 0.2, 0.0, 0.7]], np.float32)
    assert likeliest(answers, belief).tolist() == [[0, 1, 0, 0]]


def test_a_refused_image_does_not_vary():
    """Two labels are needed to differ: a single answer stays, and no answer is none."""
    none = [np.nan, np.nan]
    answers = np.array([[[0.1, 0.9], [0.1, 0.9], none], [[0.9, 0.1], none, none]], np.float32)
    assert is_steady(answers).tolist() == [False, True, True]
