"""Dimmed: ask about darkened images, which lie outside of most sensitive regions.

Many models keep the label of an image at a quarter of its brightness, but its features shrink, so
that few of the queries are recorded. A known query follows each of them: it lowers an
off-distribution meter that counts repeats, and shows the crossing exactly.

Shapes: N images, C classes.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, one_hot
from queen.redteam.attacks.parts.watch import Probing, open_watches
from queen.redteam.datasets import Images
from queen.redteam.targets.base import MeteredTarget

BRIGHTNESS = 0.25
_FIRST = 16
"""Images that each account asks about as they are, before its known query is chosen."""
_PROBING = Probing(every=1, repeats=1)


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Learn the labels of the dimmed images, with the images as they were, until the crossing."""
    first = min(_FIRST * thief.accounts, target.left // 2)
    watches = open_watches(target, thief, first)
    learned = [(watch.images, watch.answers) for watch in watches]
    rest = thief.pool[sum(len(images) for images, _ in learned) :]
    share = _PROBING.affordable(target.left // len(watches))
    for index, watch in enumerate(watches):
        images = rest[index :: len(watches)][:share]
        kept = watch.ask(dim(images), _PROBING)
        learned.append((images[:kept], watch.answers[len(watch.answers) - kept :]))
    queries, answers = (np.concatenate(parts) for parts in zip(*learned, strict=True))
    return thief.train(queries, one_hot(answers))


def dim(images: Images) -> Images:
    """The images (N, ...) at a quarter of their brightness; black is 0."""
    dimmed: Images = (BRIGHTNESS * images).astype(np.float32)
    return dimmed


ATTACK = Attack("dimmed", "ask about darkened images, learn the images as they were", steal)
