"""Partial Bayes: clean answers from a table."""

from __future__ import annotations

import numpy as np
from torch import nn

from queen.redteam.attacks import partial_bayes
from queen.redteam.attacks.base import Simulation
from queen.redteam.datasets import Split
from tests.unit.redteam.attacks.known_recipe import Lessons, distorted, l1, softmax, steal, thief_of


def test_partial_bayes_returns_clean_vectors_of_the_same_top_1(protectee: nn.Module, split: Split):
    """Flattened answers come back sharper, nearer to the clean, and with their own label."""
    known, unseen = softmax(protectee, split.pool_x[:400]), softmax(protectee, split.pool_x[400:])
    flat = [(0.3 * rows + 0.07).astype(np.float32) for rows in (known, unseen)]
    table = Simulation(known, flat[0], np.zeros(400, bool))
    restored = partial_bayes.restore_from_table(table, flat[1])
    assert np.array_equal(restored.argmax(axis=1), flat[1].argmax(axis=1))
    assert l1(restored, unseen) < 0.3 * l1(flat[1], unseen)


def test_partial_bayes_averages_the_nearest_entries():
    """Of three entries with the label, the two nearest count; without any the answer stays."""
    clean = np.array([[1, 0, 0], [0.8, 0.2, 0], [0.6, 0.4, 0], [0, 1, 0]], np.float32)
    table = Simulation(clean, clean, np.zeros(4, bool))
    answers = np.array([[0.9, 0.1, 0], [0, 0, 1]], np.float32)
    restored = partial_bayes.restore_from_table(table, answers, neighbors=2)
    np.testing.assert_allclose(restored, [[0.9, 0.1, 0], [0, 0, 1]], atol=1e-6)


def test_partial_bayes_learns_from_its_table(protectee: nn.Module, split: Split):
    """The last lesson has the labels of the answers and none of their values."""
    lessons = Lessons()
    steal("partial-bayes", protectee, thief_of(split, 200, lessons))
    queries, targets = lessons.given[-1]
    answers = distorted(softmax(protectee, queries))
    assert np.array_equal(targets.argmax(axis=1), answers.argmax(axis=1))
    assert l1(targets, answers) > 0.2
