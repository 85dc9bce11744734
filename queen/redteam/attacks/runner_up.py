"""Runner-up: where an answer hesitates between two classes, believe the second.

A defence that moves at most half of the mass (L1 at most 1) and means to change a sure label
leaves the true class second, with nearly the other half. Who knows the bound reads it off.
Where the model was so sure that both halves are the same number, a copy of the rest decides.

Shapes: Q answers, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from queen.redteam.attacks.base import Attack, Means, ask_spread
from queen.redteam.attacks.disambiguate import narrowed
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.targets.base import Answers, MeteredTarget

_HESITATES = 0.3
"""Probability of the runner-up from which it is believed."""
_ALIKE = 1e-4
"""Halves of a class this sure are the same number, up to what a defence rounds."""
_FEWEST = 10
"""Rows for each class below which the rest is too small to decide."""


def steal(target: MeteredTarget, means: Means) -> nn.Module:
    """Learn the label that stands first, or second where that has nearly as much."""
    answers = ask_spread(target, means.stream, means.accounts)
    return means.train(means.stream, second_where_close(answers))


def steal_ties(target: MeteredTarget, means: Means) -> nn.Module:
    """Learn those first that say which is second, and have that copy decide on the others."""
    queries = means.stream
    answers = ask_spread(target, queries, means.accounts)
    targets, is_tie = second_where_close(answers), is_tied(answers)
    if np.count_nonzero(~is_tie) < _FEWEST * answers.shape[1]:
        return means.train(queries, targets)
    copy = means.train(queries[~is_tie], targets[~is_tie])
    if is_tie.any():
        both = (answers[is_tie] >= _HESITATES).astype(np.float32)
        targets[is_tie] = narrowed(both, posterior(copy, queries[is_tie]))
        copy = means.train(queries, targets, salt=1)
    return copy


def second_where_close(answers: Answers) -> Answers:
    """Corners (Q, C) of the classes that are believed of `answers` (Q, C)."""
    order = np.argsort(-answers, axis=1, kind="stable")
    first, second = order[:, 0], order[:, 1]
    is_close = np.take_along_axis(answers, second[:, None], axis=1)[:, 0] >= _HESITATES
    corners: Answers = np.eye(answers.shape[1], dtype=np.float32)
    believed: Answers = corners[np.where(is_close, second, first)]
    return believed


def is_tied(answers: Answers) -> NDArray[np.bool_]:
    """Which `answers` (Q, C) give their two largest classes the same, each nearly half."""
    largest = np.sort(answers, axis=1)[:, -2:]
    tied: NDArray[np.bool_] = (largest[:, 0] >= _HESITATES) & (np.ptp(largest, axis=1) <= _ALIKE)
    return tied


ATTACKS = (
    Attack("runner-up", "believe the second class where it has nearly half", steal),
    Attack("runner-up-ties", "the same, and let a copy decide between equal halves", steal_ties),
)
