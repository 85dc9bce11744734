"""What every baseline shares. Shapes: B batch, C classes, D feature width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queen.redteam.datasets import Images

Answers = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Asked:
    """What a defence may look at for B queries.

    `inputs` (B, ...), and the protectee's `probabilities` (B, C) and `features` (B, D).
    """

    inputs: Images
    probabilities: Answers
    features: NDArray[np.float32]


Answer = Callable[[Asked], Answers]
"""Answers (B, C) on the simplex; a row's answer does not depend on its neighbours."""


@dataclass(frozen=True, eq=False)
class Training:
    """What a defence may learn from before it serves: the protectee's own training set.

    `inputs` (N, ...), `labels` (N,), and the protectee's `probabilities` (N, C) and
    `features` (N, D) of them.
    """

    dataset: str
    inputs: Images
    labels: NDArray[np.int64]
    probabilities: Answers
    features: NDArray[np.float32]


@dataclass(frozen=True)
class Defense:
    """One baseline: `prepare` learns what it needs, once, and returns what answers.

    `budget` is its strength where it has one (an L1 distance, a share of queries), None
    where it has none.
    """

    name: str
    summary: str
    prepare: Callable[[Training, int], Answer]
    """Takes the training set and a seed."""
    budget: float | None = None
