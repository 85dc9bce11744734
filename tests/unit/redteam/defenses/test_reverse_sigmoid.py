"""Reverse sigmoid against its equation."""

from __future__ import annotations

import math

import numpy as np

from queen.redteam.defenses.reverse_sigmoid import reverse_sigmoid
from tests.unit.redteam.defenses.slow_equations import draw_answers


def test_reverse_sigmoid_is_its_formula():
    """norm(y - beta (sigmoid(gamma logit(y)) - 0.5)), element by element."""
    y = draw_answers(20, 1.0)
    for row, answer in zip(y.astype(np.float64), reverse_sigmoid(y), strict=True):
        logits = [math.log(p / (1 - p)) for p in row]
        raw = np.array(
            [
                p - 0.2 * (1 / (1 + math.exp(-0.2 * logit)) - 0.5)
                for p, logit in zip(row, logits, strict=True)
            ]
        )
        np.testing.assert_allclose(answer, raw / raw.sum(), atol=1e-6)
