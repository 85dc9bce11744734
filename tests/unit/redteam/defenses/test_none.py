"""No defense: the protectee's own answers."""

from __future__ import annotations

import numpy as np

from queen.redteam.defenses import Asked, Training
from queen.redteam.defenses.none import DEFENSE
from tests.unit.redteam.defenses.slow_equations import draw_answers, draw_inputs


def test_answers_are_the_very_ones_of_the_protectee() -> None:
    """Not a bit is changed."""
    inputs, own = draw_inputs(3), draw_answers(3)
    features = np.zeros((3, 1), np.float32)
    answer = DEFENSE.prepare(Training("digits", inputs, own.argmax(axis=1), own, features), 0)
    assert answer(Asked(inputs, own, features)) is own
