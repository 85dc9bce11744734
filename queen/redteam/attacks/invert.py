"""Invert: learn from the first answers what the later ones stand for.

The answers of the prefix stay as they are in all variants.

Shapes: Q later queries, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from queen.redteam.attacks.base import Attack, Means, one_hot
from queen.redteam.attacks.parts.prefix import ask_prefix, ask_rest
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.datasets import Labels
from queen.redteam.targets.base import Answers, MeteredTarget

_ROUNDS = 10
_FLOOR = 0.01


def permutation(target: MeteredTarget, means: Means) -> nn.Module:
    """Read each returned class as the one that the copy of the prefix mostly sees there.

    A label that the copy agrees with is kept: not every later answer was changed.
    """
    prefix = ask_prefix(target, means)
    images, answers = ask_rest(target, means, prefix)
    returned = answers.argmax(axis=1)
    believed = posterior(prefix.copy, images).argmax(axis=1)
    meaning = true_classes(returned, believed, target.num_classes)
    labels = np.where(returned == believed, returned, meaning[returned])
    return means.train(*prefix.followed_by(images, _corners(labels, target.num_classes)))


def argmin(target: MeteredTarget, means: Means) -> nn.Module:
    """Where the copy of the prefix denies a label, take the class of least probability.

    Gradient reverse pushes the true class down, often to 0; among equals the copy chooses.
    """
    prefix = ask_prefix(target, means)
    images, answers = ask_rest(target, means, prefix)
    belief = posterior(prefix.copy, images)
    is_denied = answers.argmax(axis=1) != belief.argmax(axis=1)
    targets = np.where(is_denied[:, None], least_probable(answers, belief), answers)
    return means.train(*prefix.followed_by(images, targets))


def mixture(target: MeteredTarget, means: Means) -> nn.Module:
    """Learn P(true class | returned class, image) instead of what was returned."""
    prefix = ask_prefix(target, means)
    images, answers = ask_rest(target, means, prefix)
    belief = (1 - _FLOOR) * posterior(prefix.copy, images) + _FLOOR / target.num_classes
    return means.train(*prefix.followed_by(images, explained(answers.argmax(axis=1), belief)))


def true_classes(returned: Labels, believed: Labels, num_classes: int) -> Labels:
    """For each returned class the majority of the `believed` (Q,) where it was `returned` (Q,).

    (C,); a class that was never returned stands for itself.
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

    P(t | r, x) is proportional to P(t | x) P(r | t). What a class is returned as, P(r | t), is
    estimated by these posteriors themselves, from round to round, as in Dawid and Skene
    (1979), "Maximum likelihood estimation of observer error-rates using the EM algorithm".
    """
    corners = _corners(returned, belief.shape[1])
    targets = belief
    for _ in range(_ROUNDS):
        joint = corners.T @ targets + 1
        likelihood: NDArray[np.float32] = joint / joint.sum(axis=0)
        targets = belief * likelihood[returned]
        targets /= targets.sum(axis=1, keepdims=True)
    return targets


def _corners(labels: Labels, num_classes: int) -> Answers:
    corners: Answers = np.eye(num_classes, dtype=np.float32)[labels]
    return corners


ATTACKS = (
    Attack("invert-permutation", "read each returned class as what it mostly hides", permutation),
    Attack("invert-argmin", "take the least probable class where a copy doubts", argmin),
    Attack("invert-mixture", "learn the odds of what each returned class hides", mixture),
)
