"""Invert: learn from the first answers how to read the later answers.

All variants learn the answers of the prefix as they are.

Shapes: Q later queries, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, corners, one_hot
from queen.redteam.attacks.parts.prefix import ask_prefix, ask_rest
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.datasets import Labels
from queen.redteam.targets.base import Answers, MeteredTarget

_ROUNDS = 10
_FLOOR = 0.01


def permutation(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Read each returned class as the class that a copy of the prefix mostly predicts there.

    A label that the copy agrees with is kept: not every later answer was changed.
    """
    prefix = ask_prefix(target, thief)
    images, answers = ask_rest(target, thief, prefix)
    returned = answers.argmax(axis=1)
    believed = posterior(prefix.copy, images).argmax(axis=1)
    meaning = true_classes(returned, believed, target.num_classes)
    labels = np.where(returned == believed, returned, meaning[returned])
    return thief.train(*prefix.followed_by(images, corners(labels, target.num_classes)))


def argmin(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Learn the class of least probability where the copy of the prefix denies a label.

    Gradient reverse pushes the true class down, often to 0; the copy chooses among equals.
    """
    prefix = ask_prefix(target, thief)
    images, answers = ask_rest(target, thief, prefix)
    belief = posterior(prefix.copy, images)
    is_denied = answers.argmax(axis=1) != belief.argmax(axis=1)
    targets = np.where(is_denied[:, None], least_probable(answers, belief), answers)
    return thief.train(*prefix.followed_by(images, targets))


def mixture(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Learn P(true class | returned class, image) instead of the returned answer."""
    prefix = ask_prefix(target, thief)
    images, answers = ask_rest(target, thief, prefix)
    belief = (1 - _FLOOR) * posterior(prefix.copy, images) + _FLOOR / target.num_classes
    return thief.train(*prefix.followed_by(images, explained(answers.argmax(axis=1), belief)))


def true_classes(returned: Labels, believed: Labels, num_classes: int) -> Labels:
    """The most frequent `believed` label (Q,) for each class that was `returned` (Q,), (C,).

    A class that was never returned stands for itself.
    """
    counts = np.eye(num_classes) / 2
    np.add.at(counts, (returned, believed), 1)
    majority: Labels = counts.argmax(axis=1)
    return majority


def least_probable(answers: Answers, belief: Answers) -> Answers:
    """Corner of the least probable class of `answers` (Q, C); `belief` (Q, C) breaks ties."""
    is_least = answers == answers.min(axis=1, keepdims=True)
    return one_hot(np.where(is_least, belief, -1.0))


def explained(returned: Labels, belief: Answers) -> Answers:
    """Posterior over true classes (Q, C), given the `returned` labels (Q,) and a `belief` (Q, C).

    P(t | r, x) is proportional to P(t | x) P(r | t). P(r | t), how often a true class t is
    returned as r, is estimated from these posteriors, round after round, as in Dawid and Skene
    (1979), "Maximum likelihood estimation of observer error-rates using the EM algorithm".
    """
    returned_corners = corners(returned, belief.shape[1])
    targets = belief
    for _ in range(_ROUNDS):
        joint = returned_corners.T @ targets + 1
        likelihood: NDArray[np.float32] = joint / joint.sum(axis=0)
        targets = belief * likelihood[returned]
        targets /= targets.sum(axis=1, keepdims=True)
    return targets


ATTACKS = (
    Attack(
        "invert-permutation",
        "read each returned class as the class that it mostly hides",
        permutation,
    ),
    Attack("invert-argmin", "believe the least probable class where a copy doubts", argmin),
    Attack(
        "invert-mixture", "learn the odds of the classes that each returned class hides", mixture
    ),
)
