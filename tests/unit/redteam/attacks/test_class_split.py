"""Class split: accounts have classes of their own."""

from __future__ import annotations

import numpy as np

from queen.redteam.attacks import ATTACKS
from queen.redteam.attacks.class_split import deal_classes
from queen.redteam.targets.base import MeteredTarget
from tests.unit.redteam.attacks.breadth import BreadthTarget
from tests.unit.redteam.attacks.distorted import MANY, score, thief_with


def test_accounts_of_few_classes_stay_under_the_breadth() -> None:
    """Three accounts cross nearly all classes together, and none of them is over its budget."""
    target = BreadthTarget(most=25)
    copy = ATTACKS["class-split"].steal(MeteredTarget(target, MANY), thief_with(MANY, accounts=3))
    assert len(target.accounts) == 3
    assert not any(account.is_over for account in target.accounts.values())
    assert (target.distinct > target.most).sum() >= 9
    assert score(copy) > 0.8


def test_classes_are_dealt_out() -> None:
    """Every image goes to one account, and an account's classes come by turns."""
    labels = np.array([0, 0, 1, 2, 2, 2, 1])
    two = deal_classes(labels, 2, 3)
    assert [rows.tolist() for rows in two] == [[0, 3, 1, 4, 5], [2, 6]]
    five = deal_classes(labels, 5, 3)
    assert [rows.tolist() for rows in five] == [[0], [2], [3, 4, 5], [1], [6]]
