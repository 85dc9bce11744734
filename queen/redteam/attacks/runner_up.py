"""Runner-up: where an answer hesitates between two classes, believe the second.

A defense that moves at most half of the mass (L1 at most 1) and thief to change a sure label
leaves the true class second, with nearly the other half. A thief who knows the bound reads it
off. Where the model was so sure that both halves are the same number, a copy of the rest decides.

Shapes: Q answers, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, ask_stream, corners
from queen.redteam.attacks.disambiguate import narrowed
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.targets.base import Answers, MeteredTarget

_HESITATES = 0.3
"""Least probability at which the runner-up is believed."""
_ALIKE = 1e-4
"""Largest difference of two halves that count as the same number: a defense may round."""
_FEWEST = 10
"""Fewest answers without a tie, for each class, that train a copy to decide on the ties."""


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Learn the first label of an answer, or the second where it has nearly as much mass."""
    queries, answers = ask_stream(target, thief)
    return thief.train(queries, second_where_close(answers))


def steal_ties(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Learn the answers that are no ties, and let that copy decide on the ties."""
    queries, answers = ask_stream(target, thief)
    targets, is_tie = second_where_close(answers), is_tied(answers)
    if np.count_nonzero(~is_tie) < _FEWEST * answers.shape[1]:
        return thief.train(queries, targets)
    copy = thief.train(queries[~is_tie], targets[~is_tie])
    if is_tie.any():
        both = (answers[is_tie] >= _HESITATES).astype(np.float32)
        targets[is_tie] = narrowed(both, posterior(copy, queries[is_tie]))
        copy = thief.train(queries, targets, salt=1)
    return copy


def second_where_close(answers: Answers) -> Answers:
    """Corners (Q, C) of the classes that are believed of `answers` (Q, C)."""
    order = np.argsort(-answers, axis=1, kind="stable")
    first, second = order[:, 0], order[:, 1]
    is_close = np.take_along_axis(answers, second[:, None], axis=1)[:, 0] >= _HESITATES
    return corners(np.where(is_close, second, first), answers.shape[1])


def is_tied(answers: Answers) -> NDArray[np.bool_]:
    """Marks (Q,) of the `answers` (Q, C) whose two largest classes are equal, each nearly half."""
    largest = np.sort(answers, axis=1)[:, -2:]
    tied: NDArray[np.bool_] = (largest[:, 0] >= _HESITATES) & (np.ptp(largest, axis=1) <= _ALIKE)
    return tied


ATTACKS = (
    Attack("runner-up", "believe the second class where it has nearly half", steal),
    Attack("runner-up-ties", "the same, and let a copy decide between equal halves", steal_ties),
)
