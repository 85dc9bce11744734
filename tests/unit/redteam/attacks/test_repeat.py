"""Repeat and smoothing: copies of an image are charged."""

from __future__ import annotations

import numpy as np

from queen.redteam.attacks import ATTACKS
from queen.redteam.attacks.base import Thief
from queen.redteam.targets.base import Answers, MeteredTarget
from tests.unit.redteam.attacks.distorted import SPLIT, DistortedTarget, steal, thief_with
from tests.unit.redteam.attacks.known_recipe import Lessons


def test_repeated_answers_are_averaged() -> None:
    """Noise that is drawn anew at every call disappears in the mean."""
    rng = np.random.default_rng(4)

    def distort(answers: Answers, _had: int) -> Answers:
        noisy = answers + rng.dirichlet(np.full(10, 0.1), len(answers)).astype(np.float32)
        return noisy / 2

    lessons = Lessons()
    for name in ("repeat-2", "repeat-8"):
        thief = Thief("digits", SPLIT.pool_x, 160, 0, 1, lessons)
        ATTACKS[name].steal(MeteredTarget(DistortedTarget(distort), 160), thief)
    twice, eight_times = (targets.max(axis=1).mean() for _, targets in lessons.given)
    assert eight_times < twice


def test_look_alikes_are_charged_and_differ():
    """Smoothing sends three different copies and never the image itself."""
    target = DistortedTarget()
    _, meter = steal("smoothing", target, thief_with(61))
    assert meter.spent == 60
    assert len(np.unique(target.asked(), axis=0)) == 60
    pool = {row.tobytes() for row in SPLIT.pool_x}
    assert not pool & {row.tobytes() for row in target.asked()}
