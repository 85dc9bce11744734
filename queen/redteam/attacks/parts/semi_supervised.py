"""Semi-supervised copies: few answers, and many images that nobody answered.

Source: Xie, Luong, Hovy, Le, "Self-Training with Noisy Student Improves ImageNet Classification",
CVPR 2020. A teacher that learned the answers labels the pool; a student learns the answers, and the
teacher's belief about strongly changed images.

Shapes: Q queries, N images of the pool, B images of a batch, C classes.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from queen.redteam.attacks.base import Thief
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.augmentation import Augmentation, augmentation_for
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
from queen.redteam.targets.base import Answers

_ASKED, _FREE = 32, 96
"""Answers and images of the pool in a step."""
_HOLE = 0.5
"""Largest side of the hole in a strongly changed image, as a share of the image's."""
_MASKED = 0.2
"""Share of the numbers of a strongly changed vector that are set to 0."""


def train_with_pool(thief: Thief, queries: Images, answers: Answers) -> nn.Module:
    """A student that learned `answers` (Q, C) to `queries` (Q, ...) and the thief's pool.

    It costs two copies and a half. Without any answer it is untrained.
    """
    teacher = thief.train(queries, answers)
    if not len(queries):
        return teacher
    network, effort = new_copy(thief.dataset, thief.seed + 1), effort_for(thief.dataset)
    generator = torch.Generator().manual_seed(thief.seed)
    held, kept = validation_split(len(queries), thief.seed)
    batches = Examples(thief.dataset, queries[kept], answers[kept]).batches(_ASKED, generator)
    free, belief = torch.from_numpy(thief.pool), torch.from_numpy(posterior(teacher, thief.pool))
    weakly = augmentation_for(thief.dataset)

    def draw_loss() -> Tensor:
        asked, targets = next(batches)
        drawn = torch.randint(len(free), (_FREE,), generator=generator)
        changed = strongly_changed(free[drawn].to(asked.device), weakly, generator)
        logits = network(with_channels_last(torch.cat([asked, changed])))
        loss = cross_entropy(logits[: len(asked)], targets)
        return loss + cross_entropy(logits[len(asked) :], belief[drawn].to(asked.device))

    score = Examples(thief.dataset, queries[held], answers[held]).score
    return learn(Lesson(network, draw_loss, score), effort)


def strongly_changed(images: Tensor, weakly: Augmentation, generator: torch.Generator) -> Tensor:
    """Images (B, ...) after twice the usual changes; half of them with a hole of zeros."""
    strongly = replace(
        weakly, shift=2 * weakly.shift + 1, gain=2 * weakly.gain, noise=2 * weakly.noise
    )
    if images.ndim != 4:
        strongly = replace(strongly, shift=weakly.shift)
    return with_holes(strongly(images, generator), generator)


def with_holes(images: Tensor, generator: torch.Generator) -> Tensor:
    """The images (B, ...), half of them with a rectangle of zeros; vectors lose random numbers."""
    count = len(images)
    has_hole = torch.rand(count, generator=generator) < 0.5
    if images.ndim != 4:
        is_hole = torch.rand(images.shape, generator=generator) < _MASKED
        return images.masked_fill((is_hole & has_hole[:, None]).to(images.device), 0.0)
    is_hole = has_hole.reshape(-1, 1, 1, 1)
    for axis in (2, 3):
        side = images.shape[axis]
        length = torch.randint(1, math.ceil(_HOLE * side) + 1, (count, 1), generator=generator)
        start = (torch.rand((count, 1), generator=generator) * (side - length + 1)).long()
        position = torch.arange(side)
        is_in = (position >= start) & (position < start + length)
        is_hole = is_hole & is_in.reshape(count, *(side if i == axis else 1 for i in (1, 2, 3)))
    return images.masked_fill(is_hole.to(images.device), 0.0)
