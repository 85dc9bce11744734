"""Warm-up: the first tenth is asked and not learned."""

from __future__ import annotations

import numpy as np

from tests.unit.redteam.attacks.distorted import (
    MANY,
    DistortedTarget,
    garbage,
    score,
    steal,
    thief_with,
    undefended,
)


def test_the_first_answers_do_not_matter() -> None:
    """A defense that spoils the beginning of every account costs nothing."""

    def distort(answers: np.ndarray, had: int) -> np.ndarray:
        return garbage(answers) if had == 0 else answers

    copy, meter = steal("warm-up", DistortedTarget(distort), thief_with(MANY))
    assert meter.spent == MANY
    assert score(copy) > score(undefended("knockoff", MANY)) - 0.05
