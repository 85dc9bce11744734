"""Dimmed, brightened, saturated: images of another brightness, which lie outside of most regions.

Many models keep the label of an image at a quarter of its brightness, or at half as much again, but
its features shrink or grow, so that few of the queries are recorded. A known query follows each of
them: it lowers an off-distribution meter that counts repeats, and shows the crossing exactly. A
front door that knows the range of the inputs refuses the bright images; clipped, they stay inside.

Shapes: N images, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, one_hot
from queen.redteam.attacks.parts.watch import Probing, open_watches
from queen.redteam.datasets import Images
from queen.redteam.targets.base import MeteredTarget

DIM, BRIGHT = 0.25, 1.5
"""Factors of each number of an image. The bright ones may lie above all of the training data."""
Change = Callable[[Images], Images]
"""Changes images (N, ...) into others of the same shape."""
_FIRST = 16
"""Images that each account asks about as they are, before its known query is chosen."""
_PROBING = Probing(every=1, repeats=1)


def steal(target: MeteredTarget, thief: Thief, change: Change) -> nn.Module:
    """Learn the labels of the changed images, with the images as they were, until the crossing."""
    first = min(_FIRST * thief.accounts, target.left // 2)
    watches = open_watches(target, thief, first)
    learned = [(watch.images, watch.answers) for watch in watches]
    rest = thief.pool[sum(len(images) for images, _ in learned) :]
    share = _PROBING.affordable(target.left // len(watches))
    for index, watch in enumerate(watches):
        images = rest[index :: len(watches)][:share]
        kept = watch.ask(change(images), _PROBING)
        learned.append((images[:kept], watch.answers[len(watch.answers) - kept :]))
    queries, answers = (np.concatenate(parts) for parts in zip(*learned, strict=True))
    return thief.train(queries, one_hot(answers))


def scaled(images: Images, brightness: float) -> Images:
    """The images (N, ...) with each number times `brightness`; black is 0."""
    changed: Images = (brightness * images).astype(np.float32)
    return changed


def saturated(images: Images) -> Images:
    """The images (N, ...) with each number times BRIGHT, clipped to 1."""
    return np.minimum(scaled(images, BRIGHT), np.float32(1))


ATTACKS = (
    Attack(
        "dimmed",
        "ask about darkened images, learn the images as they were",
        partial(steal, change=partial(scaled, brightness=DIM)),
    ),
    Attack(
        "brightened",
        "ask about brightened images, learn the images as they were",
        partial(steal, change=partial(scaled, brightness=BRIGHT)),
    ),
    Attack(
        "saturated",
        "ask about images brightened and clipped, learn the images as they were",
        partial(steal, change=saturated),
    ),
)
