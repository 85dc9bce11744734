"""Preserved: later answers that look like the first ones are learned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from torch import nn

from queen.redteam.attacks import ATTACKS
from queen.redteam.attacks.base import Thief, halfway
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers, MeteredTarget
from tests.unit.redteam.attacks.distorted import (
    MANY,
    PREFIX,
    SHIFT,
    SPLIT,
    DistortedTarget,
    after_prefix,
    garbage,
    protectee_network,
    train_quickly,
)


@pytest.mark.parametrize("change", [garbage, lambda answers: answers[:, SHIFT]])
def test_half_of_the_later_answers_are_kept(change: Callable[[Answers], Answers]) -> None:
    """Of answers every second of which is changed, most that are kept are clean ones."""

    def half(answers: Answers) -> Answers:
        is_changed = np.arange(len(answers)) % 2 == 0
        return np.where(is_changed[:, None], change(answers), answers)

    learned: list[tuple[Images, Answers]] = []

    def train(queries: Images, targets: Answers, *, salt: int = 0) -> nn.Module:
        learned.append((queries, targets))
        return train_quickly(queries, targets, salt=salt)

    target = DistortedTarget(after_prefix(half))
    thief = Thief("digits", SPLIT.pool_x, MANY, 0, 1, train)
    ATTACKS["preserved"].steal(MeteredTarget(target, MANY), thief)
    queries, answers = learned[-1]
    own = halfway(posterior(protectee_network(), queries))
    is_clean = np.abs(answers - own).sum(axis=1) < 1e-3
    assert is_clean[:PREFIX].all()
    assert len(queries) > PREFIX + (MANY - PREFIX) / 4
    assert is_clean[PREFIX:].mean() > 0.85
