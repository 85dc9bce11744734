"""Hoarder: few classes without limit."""

from __future__ import annotations

import numpy as np

from queen.redteam.attacks import ATTACKS
from queen.redteam.attacks.hoarder import doubted_classes, hoarding_order, turn_of
from queen.redteam.targets.base import MeteredTarget
from tests.unit.redteam.attacks.breadth import BreadthTarget
from tests.unit.redteam.attacks.distorted import MANY, score, thief_with


def test_a_hoarder_stays_under_the_breadth() -> None:
    """Four classes are asked about at length, and the account is not over until it stops."""
    target = BreadthTarget(most=32)
    thief = thief_with(MANY)
    copy = ATTACKS["hoarder"].steal(MeteredTarget(target, MANY), thief)
    assert not target.accounts["thief-0"].is_over
    assert (target.distinct > target.most).sum() == 4
    assert target.distinct.max() > 1.5 * target.most
    assert score(copy) > 0.75


def test_the_hardest_classes_are_hoarded() -> None:
    """Classes rank by their mean doubt; a class that is never believed is not hoarded."""
    labels = np.array([0, 0, 1, 2, 2, 3])
    doubt = np.array([0.1, 0.2, 0.9, 0.5, 0.7, 0.3], np.float32)
    assert doubted_classes(doubt, labels, 5).tolist() == [1, 2]


def test_the_others_have_few_turns() -> None:
    """All classes come by turns, then the hoarded class alone."""
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    assert turn_of(labels).tolist() == [0, 1, 2, 3, 0, 1, 2, 0]
    assert hoarding_order(labels, np.array([0]), 2).tolist() == [0, 4, 7, 1, 5, 2, 3]
