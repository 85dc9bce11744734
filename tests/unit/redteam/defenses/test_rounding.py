"""Rounding against its equation."""

from __future__ import annotations

import numpy as np

from queen.redteam.defenses.rounding import rounded


def test_rounding_renormalizes_and_saves_rows_that_vanish():
    """Answers have a decimal; a row that rounds to nothing becomes its label."""
    y = np.zeros((2, 30), np.float32)
    y[0, :4] = [0.33, 0.33, 0.3, 0.04]
    y[1] = 1 / 31
    y[1, 5] = 2 / 31
    answers = rounded(y)
    np.testing.assert_allclose(answers[0, :4], [1 / 3, 1 / 3, 1 / 3, 0], atol=1e-6)
    assert answers[1].tolist() == np.eye(30)[5].tolist()
