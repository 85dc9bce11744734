"""Two heads: trust the first answers, and let the later answers teach the features only.

Answers that are always wrong can still tell which inputs belong together. A network
with one trunk and two heads learns this: the first head is trained on the prefix, the second on all
later answers, and the second is thrown away. The network beats a copy of the prefix alone exactly
where misdirected answers carry structure of the protectee.

Shapes: Q queries, C classes.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from queen.redteam.attacks.base import Attack, Thief
from queen.redteam.attacks.parts.answered import answered
from queen.redteam.attacks.parts.prefix import ask_prefix, ask_rest
from queen.redteam.datasets import Images
from queen.redteam.networks import build_network, set_memory_format
from queen.redteam.targets.base import Answers, MeteredTarget

_BATCH = 64
_TRUSTED = 32
_EPOCHS = 6
_RATE = 2e-3


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Learn a trunk from all answers, and a head from those of the prefix."""
    prefix = ask_prefix(target, thief)
    images, answers = ask_rest(target, thief, prefix)
    if not len(images):
        return prefix.copy
    trusted, later = answered(prefix.queries, prefix.answers), (images, answers)
    return train_two_heads(thief.dataset, trusted, later, seed=thief.seed)


def train_two_heads(
    dataset: str, trusted: tuple[Images, Answers], later: tuple[Images, Answers], *, seed: int
) -> nn.Module:
    """A network of half width whose head learned only `trusted`, (Q, ...) and (Q, C).

    A step learns 64 later answers and half as many trusted answers; there are six passes over the
    later answers, and at least 600 steps.
    """
    torch.manual_seed(seed)
    network = build_network(dataset, 0.5)
    trunk, head = network[:-1], cast(nn.Linear, network[-1])
    other = nn.Linear(head.in_features, later[1].shape[1])
    images, answers = (
        torch.from_numpy(np.concatenate(pair)) for pair in zip(trusted, later, strict=True)
    )
    if images.ndim == 4:
        set_memory_format(network, torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    split, total = len(trusted[0]), len(images)
    steps = max(600, _EPOCHS * math.ceil((total - split) / _BATCH))
    optimizer = torch.optim.Adam([*network.parameters(), *other.parameters()], _RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        first = torch.randint(split, (_TRUSTED,), generator=generator)
        rest = torch.randint(split, total, (_BATCH,), generator=generator)
        rows = torch.cat([first, rest])
        features: Tensor = trunk(images[rows])
        loss = cross_entropy(head(features[:_TRUSTED]), answers[first])
        loss = loss + cross_entropy(other(features[_TRUSTED:]), answers[rest])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return network


ATTACK = Attack("two-heads", "learn features from answers that are not believed", steal)
