"""Argmin rule: read a reversed answer as its least probable class, by two comparisons.

The published reversal relu(2q - p) is negative at the true class alone: there it leaves the least
number of the answer by orders of magnitude, and its largest number is lower than in most clean
answers. The rule is calibrated on the thief's own first answers and needs no copy.

Shapes: Q queries, K of the prefix, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, ask_stream, corners
from queen.redteam.attacks.parts.prefix import prefix_length
from queen.redteam.datasets import Labels
from queen.redteam.targets.base import Answers, MeteredTarget

_QUANTILE = 0.05
_FACTOR = 30
"""The least number of a reversed answer is smaller than the second least by more than this."""


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Ask about the stream, and learn the labels that the rule reads."""
    images, answers = ask_stream(target, thief)
    lowest = usual_lowest(answers[: prefix_length(len(answers), target.num_classes)])
    return thief.train(images, corners(read_labels(answers, lowest), target.num_classes))


def usual_lowest(answers: Answers) -> float:
    """The number that the largest numbers of clean `answers` (K, C) are seldom below."""
    return float(np.quantile(answers.max(axis=1), _QUANTILE))


def read_labels(answers: Answers, lowest: float) -> Labels:
    """The label (Q,) of each of the `answers` (Q, C): argmin of the reversed, argmax of others."""
    labels: Labels = np.where(
        is_reversed(answers, lowest), answers.argmin(axis=1), answers.argmax(axis=1)
    )
    return labels


def is_reversed(answers: Answers, lowest: float) -> NDArray[np.bool_]:
    """Marks (Q,) of `answers` (Q, C) that are flat for a clean answer, and nearly deny a class."""
    least = np.sort(answers, axis=1)[:, :2]
    marks: NDArray[np.bool_] = answers.max(axis=1) < lowest
    return marks & (least[:, 0] * _FACTOR < least[:, 1])


ATTACK = Attack("argmin-rule", "believe the least number of an answer that looks reversed", steal)
