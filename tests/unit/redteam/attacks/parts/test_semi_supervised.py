"""Unanswered images make a copy of few answers better."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import nn

from queen.redteam.attacks.base import Thief
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.attacks.parts.semi_supervised import train_with_pool, with_holes
from queen.redteam.datasets import Images
from queen.redteam.learner import train_piracy_model
from queen.redteam.targets.base import Answers
from tests.unit.redteam.attacks.distorted import SPLIT, protectee_network, score


def train(seed: int, queries: Images, targets: Answers, *, salt: int = 0) -> nn.Module:
    """A copy as the red team trains it."""
    return train_piracy_model("digits", queries, targets, seed=seed + salt)


def test_the_pool_makes_a_copy_of_few_answers_better() -> None:
    """Forty answers and six hundred images without one beat forty answers."""
    gains = []
    for seed in range(4):
        images = SPLIT.pool_x[40 * seed : 40 * (seed + 1)]
        answers = posterior(protectee_network(), images)
        thief = Thief("digits", SPLIT.pool_x, 40, seed, 1, partial(train, seed))
        plain = thief.train(images, answers)
        copy = train_with_pool(thief, images, answers)
        gains.append(score(copy) - score(plain))
    assert np.mean(gains) > 0.01


def test_holes_are_rectangles_in_half_of_the_images() -> None:
    """At most half as high and half as wide as the image; the other images stay."""
    images = torch.ones(400, 1, 8, 12)
    holed = with_holes(images, torch.Generator().manual_seed(0))
    is_hole = holed[:, 0] == 0
    has_hole = is_hole.any(dim=(1, 2))
    assert 150 < int(has_hole.sum()) < 250
    rows, columns = is_hole.any(dim=2).sum(dim=1), is_hole.any(dim=1).sum(dim=1)
    assert torch.equal(is_hole.sum(dim=(1, 2)), rows * columns)
    assert int(rows.max()) == 4
    assert int(columns.max()) == 6


def test_vectors_lose_some_of_their_numbers() -> None:
    """A fifth of them, in half of the vectors."""
    holed = with_holes(torch.ones(400, 64), torch.Generator().manual_seed(0))
    assert 0.08 < float((holed == 0).float().mean()) < 0.12
