"""Twice-ask: ask about every image twice; two different labels are not the protectee's.

Shapes: Q images, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, one_hot
from queen.redteam.attacks.parts.answered import is_answered
from queen.redteam.attacks.parts.copies import affordable, ask_copies, mean_answers
from queen.redteam.attacks.parts.prefix import prefix_length
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.targets.base import Answers, MeteredTarget


def drop(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Learn the mean of two answers wherever they name the same label.

    If no two answers agree, learn all of them as they came.
    """
    images = affordable(thief, 2)
    answers = ask_copies(target, [images] * 2, thief)
    kept = is_steady(answers)
    if not kept.any():
        kept[:] = True
    return thief.train(images[kept], mean_answers(answers)[kept])


def invert(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Let an early copy choose among the best two classes where two answers differ."""
    images = affordable(thief, 2)
    answers = ask_copies(target, [images] * 2, thief)
    early = prefix_length(len(images), target.num_classes)
    copy = thief.train(images[:early], answers[0, :early])
    targets = mean_answers(answers)
    differs = ~is_steady(answers)
    if differs.any():
        targets[differs] = likeliest(answers[:, differs], posterior(copy, images[differs]))
    return thief.train(images, targets)


def is_steady(answers: Answers) -> NDArray[np.bool_]:
    """Marks (Q,) of the images without two different labels, from answers (2, Q, C).

    An image that was refused once or twice has one label or none.
    """
    labels = answers.argmax(axis=2)
    is_known = is_answered(answers[0]) & is_answered(answers[1])
    steady: NDArray[np.bool_] = (labels[0] == labels[1]) | ~is_known
    return steady


def likeliest(answers: Answers, belief: Answers) -> Answers:
    """Corner of the class that `belief` (Q, C) prefers among the candidates, (Q, C).

    Candidates are the best and the second-best class of each of the `answers` (2, Q, C):
    a reversed answer often keeps the truth in second place.
    """
    is_candidate = (answers >= np.sort(answers, axis=2)[..., -2:-1]).any(axis=0)
    return one_hot(np.where(is_candidate, belief, -1.0))


ATTACKS = (
    Attack("twice-ask-drop", "ask twice, drop the answers that vary", drop),
    Attack("twice-ask-invert", "ask twice, believe an early copy on the answers that vary", invert),
)
