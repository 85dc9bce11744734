"""ModelGuard-W against its linear program."""

from __future__ import annotations

import numpy as np
import pytest

from queen.redteam.defenses.modelguard_w import least_likely_answer
from tests.unit.redteam.defenses.parts.solver import solve, starts_on_the_simplex


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_modelguard_w_is_the_published_program(classes: int):
    """sum_j log(y_j) y'_j is as small as it can be, but for the label's lead of 1e-5."""
    rng = np.random.default_rng(classes)
    starts = starts_on_the_simplex(rng, classes)
    answers = least_likely_answer(starts.astype(np.float32)).astype(np.float64)
    labels = starts.argmax(axis=1)
    for start, label, answer in zip(starts, labels, answers, strict=True):
        objective = -np.log(np.maximum(start, 1e-12))
        best = solve(objective, start, 1.0, int(label))
        # Three leads of mass, each worth at most the range of the objective.
        assert best - 3e-5 * np.ptp(objective) - 1e-5 <= objective @ answer <= best + 1e-5


def test_modelguard_w_gives_half_to_the_least_likely():
    """A sure answer gives 0.5 of its mass away: up to a tie to the least likely class first."""
    y = np.array([[0.97, 0.02, 0.01]], np.float32)
    np.testing.assert_allclose(least_likely_answer(y), [[0.47, 0.06, 0.47]], atol=1e-4)
