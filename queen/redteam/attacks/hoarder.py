"""Hoarder: ask without limit about few classes, and little about each other class.

The attack aims at a policy under which an account is over its budget once several classes are
crossed: the hoarded classes cross and go on, and the others never do.

Shapes: N images, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, halfway
from queen.redteam.attacks.parts.clean_prefix import PROBING
from queen.redteam.attacks.parts.quick_copies import quick_copy
from queen.redteam.attacks.parts.readout import entropy, posterior
from queen.redteam.attacks.parts.watch import clean_answers, open_watches
from queen.redteam.datasets import Labels
from queen.redteam.targets.base import MeteredTarget

_FIRST = 200
_HOARDED = 0.4
"""Share of the classes that are hoarded: four of ten."""
_OTHERS = 0.0075
"""Share of the queries that each other class gets: 150 of 20,000."""


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Hoard the classes that a copy of the first answers doubts most; learn the clean answers.

    The known query shows an account that is over its budget, which then asks no more.
    """
    watches = open_watches(target, thief, min(_FIRST, target.left // 2))
    copy = quick_copy(thief, *clean_answers(watches))
    rest = thief.pool[sum(len(watch.images) for watch in watches) :]
    belief = posterior(copy, rest)
    hoarded = doubted_classes(entropy(belief), belief.argmax(axis=1), target.num_classes)
    others = max(1, round(_OTHERS * thief.queries))
    order = hoarding_order(belief.argmax(axis=1), hoarded, others)
    share = PROBING.affordable(target.left // len(watches))
    for index, watch in enumerate(watches):
        watch.ask(rest[order[index :: len(watches)][:share]], PROBING)
    images, answers = clean_answers(watches)
    return thief.train(images, halfway(answers))


def doubted_classes(
    doubt: NDArray[np.float32], labels: Labels, num_classes: int
) -> NDArray[np.int64]:
    """The classes of most mean `doubt` (N,) among images of believed `labels` (N,): 0.4 C."""
    counts = np.bincount(labels, minlength=num_classes)
    total = np.bincount(labels, weights=doubt, minlength=num_classes)
    count = max(1, round(_HOARDED * num_classes))
    return np.argsort(-total / np.maximum(counts, 1), kind="stable")[:count]


def hoarding_order(labels: Labels, hoarded: NDArray[np.int64], others: int) -> NDArray[np.int64]:
    """Indices of images with `labels` (N,): classes by turns, then `hoarded` classes alone.

    A class that is not hoarded has at most `others` turns.
    """
    turns = turn_of(labels)
    kept = np.isin(labels, hoarded) | (turns < others)
    order = np.lexsort((labels, turns))
    return order[kept[order]]


def turn_of(labels: Labels) -> NDArray[np.int64]:
    """The number of earlier images with the same label, (N,) for `labels` (N,)."""
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], labels[order])
    turns = np.empty(len(labels), np.int64)
    turns[order] = np.arange(len(labels)) - starts
    return turns


ATTACK = Attack("hoarder", "few classes without limit, little of each other class", steal)
