"""Quick copies: several cheap copies of the answers so far, which tell what a thief still doubts.

Shapes: Q queries, C classes, N images.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from queen.redteam.attacks.base import Thief
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.datasets import Images
from queen.redteam.networks import Regime, build_network, train_network, training_device
from queen.redteam.targets.base import Answers

STEPS = 300
_BATCH = 64
_WIDTH = 0.5


def quick_copy(thief: Thief, queries: Images, answers: Answers, *, salt: int = 0) -> nn.Module:
    """A copy of `answers` (Q, C) to `queries` (Q, ...) after about 300 steps.

    `salt` makes another initialization of the same seed.
    """
    seed = thief.seed + 1009 * salt
    torch.manual_seed(seed)
    epochs = math.ceil(STEPS / math.ceil(len(queries) / _BATCH))
    regime = Regime(epochs, seed, batch=_BATCH, device=training_device(thief.dataset))
    return train_network(build_network(thief.dataset, _WIDTH), queries, answers, regime)


def quick_belief(
    thief: Thief, lesson: tuple[Images, Answers], images: Images, *, copies: int
) -> Answers:
    """Mean posterior of several quick copies of a lesson, for images (N, ...), (N, C)."""
    beliefs = [posterior(quick_copy(thief, *lesson, salt=salt), images) for salt in range(copies)]
    mean: Answers = np.mean(beliefs, axis=0, dtype=np.float32)
    return mean
