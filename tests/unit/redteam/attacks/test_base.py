"""Thieves, and queries dealt out to their accounts."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from queen.errors import ConfigError
from queen.redteam.attacks.base import Thief, ask_spread, corners, halfway, one_hot
from queen.redteam.targets.base import MeteredTarget
from tests.unit.redteam.attacks.distorted import SPLIT, DistortedTarget, thief_with, train_quickly


def test_queries_are_dealt_out_in_turn() -> None:
    """Query i goes to account i mod 3, and the answers come back in the order of the queries."""
    target = DistortedTarget(lambda answers, _had: answers)
    queries = SPLIT.pool_x[:8]
    answers = ask_spread(MeteredTarget(target, 8), queries, 3)
    for index, account in enumerate(target.accounts.values()):
        np.testing.assert_array_equal(np.concatenate(account.asked), queries[index::3])
    alone = ask_spread(MeteredTarget(DistortedTarget(), 8), queries, 1)
    np.testing.assert_allclose(answers, alone, atol=1e-6)


def test_fewer_queries_than_accounts_leave_accounts_unopened() -> None:
    """No account is opened for nothing."""
    target = DistortedTarget()
    ask_spread(MeteredTarget(target, 2), SPLIT.pool_x[:2], 5)
    assert len(target.accounts) == 2


def test_a_thief_asks_the_first_images_and_draws_the_same_numbers() -> None:
    """The stream is as long as the budget, or as the pool if that is shorter."""
    thief = thief_with(5)
    np.testing.assert_array_equal(thief.stream, SPLIT.pool_x[:5])
    assert len(thief_with(10**6).stream) == len(SPLIT.pool_x)
    assert thief.rng.random() == thief.rng.random()


def test_a_thief_without_the_recipe_cannot_simulate() -> None:
    """The error says what is missing."""
    thief = Thief("digits", SPLIT.pool_x, 5, 0, 1, train_quickly)
    with pytest.raises(ConfigError, match="recipe"):
        thief.simulate(nn.Identity(), thief.stream)


def test_a_label_is_a_corner_of_the_simplex() -> None:
    """The first of equals wins."""
    answers = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]], np.float32)
    assert one_hot(answers).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert corners(np.array([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_halfway_lies_between_an_answer_and_its_label():
    """Each row keeps its label and sums to 1."""
    answers = np.array([[0.6, 0.4, 0.0], [0.2, 0.3, 0.5]], np.float32)
    np.testing.assert_allclose(halfway(answers), [[0.8, 0.2, 0.0], [0.1, 0.15, 0.75]], atol=1e-6)
