"""Retry: refused images are changed until a change is answered."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from queen.redteam.attacks import ATTACKS
from queen.redteam.attacks.base import Thief
from queen.redteam.attacks.retry import TRIES
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers, LocalAccount, MeteredTarget, refusals

POOL = np.random.default_rng(0).uniform(size=(400, 8)).astype(np.float32)
FREE = 100


class Refusing:
    """Answers the first queries, then those alone whose first number ends in a lucky digit."""

    num_classes = 3

    def __init__(self, luck: float) -> None:
        self.asked: list[Images] = []
        self._luck = luck

    def open_account(self, _name: str) -> LocalAccount:
        """An account like any other."""
        return LocalAccount(self.answer, 3)

    def answer(self, queries: Images) -> Answers:
        """The first class for whatever is answered."""
        before = sum(map(len, self.asked))
        self.asked.append(queries)
        answers = refusals(len(queries), 3)
        is_lucky = (1000 * queries[:, 0]) % 1 < self._luck
        answers[is_lucky | (before + np.arange(len(queries)) < FREE)] = [1, 0, 0]
        return answers


def learned_from(target: Refusing, queries: int) -> Images:
    """The images that the attack learns."""
    kept: list[Images] = []

    def train(images: Images, targets: Answers, *, salt: int = 0) -> nn.Module:
        assert (targets == [1, 0, 0]).all()
        kept.append(images)
        return nn.Identity()

    thief = Thief("digits", POOL, queries, 0, 1, train)
    ATTACKS["retry"].steal(MeteredTarget(target, queries), thief)
    return kept[0]


@pytest.mark.parametrize(("luck", "least", "most"), [(0.0, FREE, FREE), (0.2, 190, 200)])
def test_changes_are_tried_until_one_is_answered(luck: float, least: int, most: int) -> None:
    """What is learned are the images as they were; where nothing is near a record, the first."""
    target = Refusing(luck)
    images = learned_from(target, FREE + 100 * (TRIES + 1))
    assert least <= len(images) <= most
    assert np.isin(images[:, 0], POOL[:, 0]).all()
    sent = sum(map(len, target.asked))
    assert sent <= FREE + 100 * (TRIES + 1)


def test_a_target_that_refuses_nothing_is_asked_as_usual() -> None:
    """All queries buy labels."""
    assert len(learned_from(Refusing(1.0), 300)) == 300
