"""JBDA-TR: copies of seed images, pushed to other classes."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from queen.redteam.attacks import jbda
from queen.redteam.datasets import Split
from queen.redteam.networks import predict
from tests.unit.redteam.attacks.known_recipe import Lessons, softmax, steal, thief_of


def test_copies_stay_near_their_parents(protectee: nn.Module, split: Split):
    """Copies are within 0.1 of their parents and in [0, 1], and leave their parents' classes."""
    parents, rng = split.pool_x[:50], np.random.default_rng(0)
    copies, origins = jbda.targeted_copies(protectee, parents, 10, 150, rng)
    assert np.bincount(origins).tolist() == [3] * 50
    distances = np.abs(copies - parents[origins]).max(axis=1)
    assert distances.max() <= jbda.EPSILON + 1e-6
    assert distances.min() > 0.05
    assert (copies.min(), copies.max()) == (0.0, 1.0)
    labels, rows = predict(protectee, parents)[origins], np.arange(150)
    before, after = softmax(protectee, parents[origins]), softmax(protectee, copies)
    assert (after[rows, labels] < before[rows, labels]).mean() > 0.9


def test_the_copies_of_an_image_go_to_different_classes(protectee: nn.Module, split: Split):
    """No two of the three are the same image."""
    copies, _ = jbda.targeted_copies(protectee, split.pool_x[:20], 10, 60, np.random.default_rng(0))
    assert len({copy.tobytes() for copy in copies}) == 60


@pytest.mark.parametrize("queries", [7, 100, 700])
def test_jbda_spends_its_budget_to_the_last_query(protectee, split: Split, queries: int):
    """A tenth are seeds, the rest their copies, even where the pool holds fewer images."""
    lessons = Lessons()
    served = steal("jbda-tr", protectee, thief_of(split, queries, lessons))
    seeds = served.received["thief-0"][0]
    assert np.array_equal(seeds, split.pool_x[: max(queries // 10, 1)])
    assert len(lessons.given) == 1
    assert len(lessons.given[0][0]) == queries
