"""Active: ask about the images that copies doubt most, until a known query shows the crossing.

Images that a copy doubts teach it most, and many of them lie outside of the sensitive regions,
where nothing is charged. No class gets many more queries than the others, since the first class to
cross may end the account. Known queries after each image show the crossing exactly, and lower an
off-distribution meter that counts repeats; plain images lower any meter, and are charged.

Shapes: N images, C classes.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, halfway
from queen.redteam.attacks.parts.quick_copies import quick_copy
from queen.redteam.attacks.parts.readout import entropy, posterior
from queen.redteam.attacks.parts.watch import Probing, clean_answers, open_watches
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers, MeteredTarget

_FIRST = 200
_ROUNDS = 10
_GROWTH = 1.3
"""Each round asks about more images than the last one: early copies doubt the wrong images."""
_SEEN = 6_000
"""Images of the pool that a round chooses from."""
_CAP = 1.3
"""Most queries of a class, in multiples of the mean over the classes."""


def steal(target: MeteredTarget, thief: Thief, *, probing: Probing) -> nn.Module:
    """Learn the clean answers of an active thief."""
    images, answers = ask_actively(target, thief, probing)
    return thief.train(images, halfway(answers))


def ask_actively(target: MeteredTarget, thief: Thief, probing: Probing) -> tuple[Images, Answers]:
    """Images (N, ...) and their clean answers (N, C), chosen in rounds of growing size.

    The first of `probing.every` images is doubted, the others are plain images of the pool.
    """
    watches = open_watches(target, thief, min(_FIRST, target.left // 2))
    rest = thief.pool[sum(len(watch.images) for watch in watches) :]
    for size in round_sizes(target.left // (probing.every + probing.repeats)):
        asking = [watch for watch in watches if not watch.is_over]
        images, answers = clean_answers(watches)
        if not asking or not len(images):
            break
        belief = posterior(quick_copy(thief, images, answers), rest[:_SEEN])
        asked = np.bincount(answers.argmax(axis=1), minlength=target.num_classes)
        doubted = most_doubted(belief, asked, size)
        groups = with_plain(doubted, len(rest), probing.every)
        for index, watch in enumerate(asking):
            watch.ask(rest[groups[index :: len(asking)].ravel()], probing)
        rest = np.delete(rest, groups.ravel(), axis=0)
    return clean_answers(watches)


def round_sizes(groups: int) -> list[int]:
    """The groups of images that the rounds ask about, rising; they sum to `groups`."""
    ends = np.cumsum(_GROWTH ** np.arange(_ROUNDS))
    steps = np.diff(np.floor(groups * ends / ends[-1]), prepend=0)
    return [int(step) for step in steps if step]


def most_doubted(belief: Answers, asked: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Indices of the `count` images whose `belief` (N, C) has the most entropy, the first of all.

    No class that is believed passes the cap on its queries, of which it had `asked` (C,) before;
    where all classes reach the cap, the classes with the fewest queries come first.
    """
    labels, order = belief.argmax(axis=1), np.argsort(-entropy(belief), kind="stable")
    level = np.empty(len(belief), np.int64)
    for label, had in enumerate(asked):
        own = order[labels[order] == label]
        level[own] = had + np.arange(len(own))
    cap = _CAP * (asked.sum() + count) / len(asked)
    excess = np.maximum(level[order] - cap, 0)
    chosen: NDArray[np.int64] = order[np.argsort(excess, kind="stable")[:count]]
    return chosen


def with_plain(doubted: NDArray[np.int64], images: int, every: int) -> NDArray[np.int64]:
    """Groups (G, every) of indices below `images`: a doubted image, then plain images.

    A group that finds no plain images left is not made.
    """
    plain = np.setdiff1d(np.arange(images), doubted)
    groups = len(doubted) if every == 1 else min(len(doubted), len(plain) // (every - 1))
    others = plain[: groups * (every - 1)].reshape(groups, every - 1)
    return np.concatenate([doubted[:groups, None], others], axis=1)


REPEATING = Probing(every=1, repeats=5)
"""Five repeats after each doubted image: they hide it from a meter that counts repeats."""
MIXING = Probing(every=3, repeats=1)
"""Two plain images after each doubted one: they hide it from a meter that counts records."""
ATTACKS = (
    Attack(
        "active",
        "ask about what copies doubt, with repeats of a known query, until the crossing",
        partial(steal, probing=REPEATING),
    ),
    Attack(
        "active-plain",
        "ask about what copies doubt, between plain images, until the crossing",
        partial(steal, probing=MIXING),
    ),
)
