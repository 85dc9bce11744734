"""Recorded neighbor: stay near the first queries, whose records cover later queries.

A query within the coverage radius of a record is not novel, so it is answered mildly
even once the account is over its budget.

Shapes: N images, K of the prefix.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, ask_spread
from queen.redteam.attacks.parts.copies import look_alikes
from queen.redteam.attacks.parts.prefix import Prefix, ask_prefix
from queen.redteam.attacks.parts.readout import penultimate
from queen.redteam.datasets import Images
from queen.redteam.targets.base import MeteredTarget

_BATCH = 1024


def near(target: MeteredTarget, thief: Thief) -> nn.Module:
    """After the prefix, ask about look-alikes of it, round after round.

    A copy goes to the account that asked about its image: records cover their own account.
    """
    prefix, rng = ask_prefix(target, thief), thief.rng
    images, answers = [prefix.queries[:0]], [prefix.answers[:0]]
    while target.left:
        images.append(look_alikes(prefix.queries, rng)[: target.left])
        answers.append(ask_spread(target, images[-1], thief.accounts))
    return thief.train(*prefix.followed_by(np.concatenate(images), np.concatenate(answers)))


def nearest(target: MeteredTarget, thief: Thief) -> nn.Module:
    """After the prefix, ask about the images of the pool nearest to it, nearest first."""
    prefix = ask_prefix(target, thief)
    rest = thief.pool[len(prefix.queries) :]
    images = rest[np.argsort(distances(prefix, rest), kind="stable")[: target.left]]
    answers = ask_spread(target, images, thief.accounts)
    return thief.train(*prefix.followed_by(images, answers))


def distances(prefix: Prefix, images: Images) -> NDArray[np.float32]:
    """Distance of images (N, ...) to the nearest query of the prefix, (N,), in copy features."""
    recorded = torch.from_numpy(penultimate(prefix.copy, prefix.queries))
    features = torch.from_numpy(penultimate(prefix.copy, images))
    nearest = [torch.cdist(part, recorded).amin(dim=1) for part in torch.split(features, _BATCH)]
    rows: NDArray[np.float32] = torch.cat(nearest).numpy()
    return rows


ATTACKS = (
    Attack("recorded-neighbor", "ask about look-alikes of the first queries", near),
    Attack("recorded-neighbor-pool", "ask about the images nearest to the first queries", nearest),
)
