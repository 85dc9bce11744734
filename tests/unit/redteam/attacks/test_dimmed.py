"""Dimmed: dark images are sent, and bright ones are learned."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from queen.redteam.attacks import ATTACKS
from queen.redteam.attacks.base import Thief
from queen.redteam.attacks.dimmed import BRIGHT, DIM, saturated, scaled
from queen.redteam.datasets import Images
from queen.redteam.networks import predict
from queen.redteam.targets.base import Answers, MeteredTarget
from tests.unit.redteam.attacks.distorted import (
    MANY,
    SPLIT,
    DistortedTarget,
    after,
    garbage,
    protectee_network,
    score,
    train_quickly,
)


def test_dark_images_are_sent_and_bright_ones_learned() -> None:
    """After the first, an image goes out dimmed; the copy gets it as it was, until the crossing."""
    target = DistortedTarget(after(301, garbage))
    learned: list[tuple[Images, Answers]] = []

    def train(queries: Images, targets: Answers, *, salt: int = 0) -> nn.Module:
        learned.append((queries, targets))
        return train_quickly(queries, targets, salt=salt)

    thief = Thief("digits", SPLIT.pool_x, MANY, 0, 1, train)
    copy = ATTACKS["dimmed"].steal(MeteredTarget(target, MANY), thief)
    ((queries, labels),) = learned
    assert 150 < len(queries) < 170
    assert np.array_equal(queries, SPLIT.pool_x[: len(queries)])
    own = predict(protectee_network(), queries)
    assert (labels.argmax(axis=1) == own).mean() > 0.9
    sent = target.asked()[16 : 2 * len(queries) - 16 : 2]
    np.testing.assert_allclose(sent, scaled(queries[16:], DIM))
    assert score(copy) > 0.75


def test_bright_images_go_beyond_the_training_data() -> None:
    """Half as much again of each number, whatever the range."""
    target = DistortedTarget(after(301, garbage))
    thief = Thief("digits", SPLIT.pool_x, MANY, 0, 1, train_quickly)
    copy = ATTACKS["brightened"].steal(MeteredTarget(target, MANY), thief)
    assert target.asked()[16::2].max() == pytest.approx(BRIGHT * SPLIT.pool_x.max())
    assert score(copy) > 0.75


def test_saturated_images_stay_in_the_range() -> None:
    """Those that would lie above it are clipped; the others are as bright as the bright ones."""
    target = DistortedTarget(after(301, garbage))
    thief = Thief("digits", SPLIT.pool_x, MANY, 0, 1, train_quickly)
    copy = ATTACKS["saturated"].steal(MeteredTarget(target, MANY), thief)
    sent = target.asked()[16::2][:100]
    np.testing.assert_array_equal(sent, saturated(SPLIT.pool_x[16:116]))
    assert sent.max() == 1 < BRIGHT * SPLIT.pool_x.max()
    assert score(copy) > 0.75
