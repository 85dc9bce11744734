"""Runner-up: where an answer hesitates between two classes, believe the second.

A defence that moves at most half of the mass (L1 at most 1) and means to change a sure label
leaves the true class second, with nearly the other half. Who knows the bound reads it off.

Shapes: Q answers, C classes.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from queen.redteam.attacks.base import Attack, Means, ask_spread
from queen.redteam.target import Answers, MeteredTarget

_HESITATES = 0.3
"""Probability of the runner-up from which it is believed."""


def steal(target: MeteredTarget, means: Means) -> nn.Module:
    """Learn the label that stands first, or second where that has nearly as much."""
    answers = ask_spread(target, means.stream, means.accounts)
    return means.train(means.stream, second_where_close(answers))


def second_where_close(answers: Answers) -> Answers:
    """Corners (Q, C) of the classes that are believed of `answers` (Q, C)."""
    order = np.argsort(-answers, axis=1, kind="stable")
    first, second = order[:, 0], order[:, 1]
    is_close = np.take_along_axis(answers, second[:, None], axis=1)[:, 0] >= _HESITATES
    corners: Answers = np.eye(answers.shape[1], dtype=np.float32)
    believed: Answers = corners[np.where(is_close, second, first)]
    return believed


ATTACK = Attack("runner-up", "believe the second class where it has nearly half", steal)
