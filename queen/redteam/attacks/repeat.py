"""Repeat and smoothing: average the answers to copies of an image.

Repeating undoes an answer that is drawn anew at every call; smoothing also undoes an answer that
depends on the exact pixels. Against answers that are a function of the image, repeating only costs
queries.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from queen.redteam.attacks.base import Attack, Thief
from queen.redteam.attacks.parts.copies import affordable, ask_copies, look_alikes, mean_answers
from queen.redteam.targets.base import MeteredTarget


def repeat(target: MeteredTarget, thief: Thief, *, copies: int) -> nn.Module:
    """Learn the mean answer to the same image, sent `copies` times."""
    images = affordable(thief, copies)
    answers = ask_copies(target, [images] * copies, thief)
    return thief.train(images, mean_answers(answers))


def smooth(target: MeteredTarget, thief: Thief, *, copies: int = 3) -> nn.Module:
    """Learn the mean answer to look-alikes of an image, which is never sent itself."""
    images, rng = affordable(thief, copies), thief.rng
    answers = ask_copies(target, (look_alikes(images, rng) for _ in range(copies)), thief)
    return thief.train(images, mean_answers(answers))


ATTACKS = (
    Attack("repeat-2", "ask everything twice, average", partial(repeat, copies=2)),
    Attack("repeat-8", "ask everything eight times, average", partial(repeat, copies=8)),
    Attack("smoothing", "average the answers to three look-alikes", smooth),
)
