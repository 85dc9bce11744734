"""S4L: learn the answers, and learn from unanswered images to tell how they are rotated.

Zhai, Oliver, Kolesnikov, Beyer, "S4L: Self-Supervised Semi-Supervised Learning" (ICCV 2019).

Shapes: Q queries, N images, C classes, D feature width.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from queen.redteam.attacks.base import Attack, Thief, ask_stream
from queen.redteam.datasets import Images
from queen.redteam.learner import (
    Examples,
    Lesson,
    effort_for,
    learn,
    new_copy,
    validation_split,
)
from queen.redteam.networks import with_channels_last
from queen.redteam.targets.base import Answers, MeteredTarget

_TURNED = 16
"""Images of the pool in a step; each is seen in four turns."""


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Soft cross entropy on the answers, and the rotation loss on the whole pool."""
    queries, answers = ask_stream(target, thief)
    return train_with_rotations(thief.dataset, queries, answers, thief.pool, seed=thief.seed)


def train_with_rotations(
    dataset: str, queries: Images, answers: Answers, pool: Images, *, seed: int
) -> nn.Module:
    """A network of half width, trained on `answers` (Q, C) to `queries` (Q, ...) and on `pool`.

    The rotation head sits on the penultimate layer and is thrown away. Augmentation and the length
    of the training are those of any copy. Without any answer the network is untrained.
    """
    network, effort = new_copy(dataset, seed), effort_for(dataset)
    if not len(queries):
        return network.to("cpu")
    body, head = network[:-1], cast(nn.Linear, network[-1])
    rotation_head = nn.Linear(head.in_features, 4).to(head.weight.device)
    generator = torch.Generator().manual_seed(seed)
    held, kept = validation_split(len(queries), seed)
    batches = Examples(dataset, queries[kept], answers[kept]).batches(effort.batch, generator)
    free = torch.from_numpy(pool)

    def draw_loss() -> Tensor:
        asked, targets = next(batches)
        drawn = torch.randint(len(free), (_TURNED,), generator=generator)
        rotated, quarters = turned(free[drawn].to(asked.device))
        features = body(with_channels_last(torch.cat([asked, rotated])))
        loss = cross_entropy(head(features[: len(asked)]), targets)
        return loss + cross_entropy(rotation_head(features[len(asked) :]), quarters)

    score = Examples(dataset, queries[held], answers[held]).score
    return learn(Lesson(network, draw_loss, score, rotation_head.parameters()), effort)


def turned(images: Tensor) -> tuple[Tensor, Tensor]:
    """Images (N, ...) after 0, 1, 2 and 3 quarter turns, (4N, ...), and the number of turns, (4N,).

    Rows of a flat (N, D) are square images of one channel.
    """
    side = math.isqrt(images[0].numel())
    grid = images if images.ndim == 4 else images.reshape(-1, side, side)
    turns = torch.cat([torch.rot90(grid, quarter, (-2, -1)) for quarter in range(4)])
    quarters = torch.arange(4, device=images.device).repeat_interleave(len(images))
    return turns.reshape(-1, *images.shape[1:]), quarters


ATTACK = Attack("s4l", "learn rotations of unlabeled images as well", steal)
