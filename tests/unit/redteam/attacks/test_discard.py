"""Discard: answers that look reversed are not learned."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from queen.redteam.attacks import ATTACKS
from queen.redteam.attacks.base import Thief
from queen.redteam.attacks.parts.readout import entropy
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers, MeteredTarget
from tests.unit.redteam.attacks.distorted import (
    MANY,
    PREFIX,
    SPLIT,
    DistortedTarget,
    after_prefix,
    garbage,
    simulate,
    train_quickly,
)


@pytest.mark.parametrize("name", ["discard-disagreement", "discard-entropy"])
def test_discarding_drops_the_garbage(name: str):
    """Of answers that are half garbage a discarding thief learns the better half."""

    def half(answers: Answers) -> Answers:
        is_bad = np.arange(len(answers)) % 2 == 0
        return np.where(is_bad[:, None], garbage(answers), answers)

    target = DistortedTarget(after_prefix(half))
    learned: list[Answers] = []

    def train(queries: Images, targets: Answers, *, salt: int = 0) -> nn.Module:
        learned.append(targets)
        return train_quickly(queries, targets, salt=salt)

    thief = Thief("digits", SPLIT.pool_x, MANY, 0, 1, train, simulate)
    ATTACKS[name].steal(MeteredTarget(target, MANY), thief)
    doubtful = (entropy(learned[-1][PREFIX:]) > 2).mean()
    assert len(learned[-1]) > PREFIX + (MANY - PREFIX) / 4
    assert doubtful < 0.15
