"""Answers that did not come: a refused query has a row of NaN.

Shapes: Q queries, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers


def is_answered(answers: Answers) -> NDArray[np.bool_]:
    """Marks (Q,) of the `answers` (Q, C) that came, and were not refused."""
    finite: NDArray[np.bool_] = np.isfinite(answers.sum(axis=1))
    return finite


def answered(images: Images, answers: Answers) -> tuple[Images, Answers]:
    """The `images` (Q, ...) that were answered, with their answers (Q, C)."""
    kept = is_answered(answers)
    # Most targets refuse nothing: the arrays need no copy then.
    return (images, answers) if kept.all() else (images[kept], answers[kept])
