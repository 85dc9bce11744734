"""Every attack, by name: the promises that all of them share."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from queen.redteam.attacks import ATTACKS
from tests.unit.redteam.attacks.distorted import (
    FEW,
    MANY,
    DistortedTarget,
    after_prefix,
    assert_same_copy,
    refused,
    score,
    steal,
    thief_with,
    undefended,
)

every_attack = pytest.mark.parametrize("name", sorted(ATTACKS))


@every_attack
def test_a_copy_gets_better_with_budget(name: str):
    """Ten times the queries to an undefended endpoint make a better copy, and a good one."""
    few, many = (score(undefended(name, queries)) for queries in (FEW, MANY))
    assert many > few
    assert many > 0.75


@every_attack
def test_no_budget_is_exceeded(name: str):
    """A budget that nothing divides is kept over three accounts, and all of them are used."""
    target = DistortedTarget()
    _, meter = steal(name, target, thief_with(61, accounts=3))
    assert 0 < meter.spent <= 61
    assert len(target.asked()) == meter.spent
    assert len(target.accounts) == 3


@every_attack
def test_a_seed_gives_the_same_copy(name: str):
    """Everything random follows from the thief's seed."""
    again, _ = steal(name, DistortedTarget(), thief_with(FEW))
    assert_same_copy(again, undefended(name, FEW))


@pytest.mark.parametrize(
    ("name", "copies"),
    [("repeat-2", 2), ("repeat-8", 8), ("twice-ask-drop", 2), ("twice-ask-invert", 2)],
)
def test_every_copy_of_an_image_is_charged(name: str, copies: int):
    """An image that is sent n times costs n queries, all of them to one account."""
    target = DistortedTarget()
    _, meter = steal(name, target, thief_with(61, accounts=3))
    assert meter.spent == 61 // copies * copies
    for account in target.accounts.values():
        _, counts = np.unique(np.concatenate(account.asked), axis=0, return_counts=True)
        assert (counts == copies).all()


@every_attack
def test_a_refused_query_is_no_answer(name: str):
    """An attack nine of ten of whose later queries are refused makes a copy of the others.

    A library that knows no refusals learns a label for them all the same.
    """
    target = DistortedTarget(after_prefix(partial(refused, share=0.9)))
    copy, meter = steal(name, target, thief_with(MANY))
    assert 0 < meter.spent <= MANY
    assert score(copy) > (0.5 if name != "art-copycat" else 0.05)
