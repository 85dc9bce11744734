"""Slow drip: small requests, one class at a time, so that no class is used up early.

Shapes: N images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, ask_spread
from queen.redteam.attacks.parts.prefix import ask_prefix
from queen.redteam.datasets import Labels
from queen.redteam.networks import predict
from queen.redteam.targets.base import Answers, MeteredTarget

_REQUEST = 16


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """After the prefix, sort the pool by the classes of its copy, and ask about them in turn."""
    prefix = ask_prefix(target, thief)
    rest = thief.pool[len(prefix.queries) :]
    # The order makes each account send small requests of one class.
    request = _REQUEST * thief.accounts
    images = rest[in_rotation(predict(prefix.copy, rest), request)[: target.left]]
    answers: list[Answers] = [prefix.answers[:0]]
    for start in range(0, len(images), request):
        part = images[start : start + request]
        answers.append(ask_spread(target, part, thief.accounts))
    return thief.train(*prefix.followed_by(images, np.concatenate(answers)))


def in_rotation(labels: Labels, request: int) -> NDArray[np.intp]:
    """Order (N,) in which `request` images of each of the `labels` (N,) come by turns.

    Within a class the order stays; a class that is used up is passed over.
    """
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], labels)
    ranks = np.empty(len(labels), np.intp)
    ranks[order] = np.arange(len(labels))
    turns = (ranks - starts) // request
    return np.lexsort((ranks, labels, turns))


ATTACK = Attack("slow-drip", "small requests, one class at a time", steal)
