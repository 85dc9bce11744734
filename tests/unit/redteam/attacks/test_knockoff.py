"""Knockoff: the answers are learned as they are."""

from __future__ import annotations

import numpy as np

from queen.redteam.attacks.base import Thief
from queen.redteam.attacks.knockoff import steal
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.targets.base import MeteredTarget
from tests.unit.redteam.attacks.distorted import (
    SPLIT,
    DistortedTarget,
    protectee_network,
)
from tests.unit.redteam.attacks.known_recipe import Lessons


def test_the_lesson_is_the_answers() -> None:
    """The whole stream with its vectors, unchanged."""
    lessons = Lessons()
    thief = Thief("digits", SPLIT.pool_x, 20, 0, 2, lessons)
    steal(MeteredTarget(DistortedTarget(), 20), thief)
    own = posterior(protectee_network(), thief.stream)
    np.testing.assert_allclose(lessons.given[0][1], own, atol=1e-6)
