"""The parts of every baseline. Shapes: B batch, C classes, D feature width, N images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers


@dataclass(frozen=True, eq=False)
class Asked:
    """The queries that a defense answers, and the protectee's outputs for them.

    `inputs` (B, ...), and the protectee's `probabilities` (B, C) and `features` (B, D).
    """

    inputs: Images
    probabilities: Answers
    features: NDArray[np.float32]


Answer = Callable[[Asked], Answers]
"""Answers (B, C) on the simplex; a row's answer does not depend on its neighbors."""


@dataclass(frozen=True, eq=False)
class Training:
    """The protectee's own training set, from which a defense may learn before it serves.

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
    """A baseline: `prepare` learns from a training set and a seed, and returns its answers.

    `strength` is an L1 distance or a share of queries, None for a baseline that has neither.
    """

    name: str
    summary: str
    prepare: Callable[[Training, int], Answer]
    strength: float | None = None
