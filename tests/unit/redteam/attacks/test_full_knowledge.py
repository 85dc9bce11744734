"""Full knowledge: verdicts foreseen by the recipe."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from queen.method.answers.gradient_reverse import gradient_reverse
from queen.redteam.attacks import full_knowledge
from queen.redteam.attacks.base import Simulation, Thief, one_hot
from queen.redteam.datasets import Images, Split
from queen.redteam.targets.base import MeteredTarget
from tests.unit.redteam.attacks.known_recipe import (
    Lessons,
    Served,
    distorted,
    is_odd,
    softmax,
    steal,
    thief_of,
)


def test_full_knowledge_drops_exactly_what_the_simulation_flags(protectee: nn.Module, split: Split):
    """The last lesson is the stream without the flagged queries, with their answers."""
    lessons = Lessons()
    steal("full-knowledge-discard", protectee, thief_of(split, 300, lessons))
    kept = split.pool_x[:300][~is_odd(split.pool_x[:300])]
    assert 0 < len(kept) < 300
    assert np.array_equal(lessons.given[-1][0], kept)
    np.testing.assert_allclose(lessons.given[-1][1], distorted(softmax(protectee, kept)), atol=1e-6)


def test_full_knowledge_keeps_the_twin_if_all_is_flagged(protectee: nn.Module, split: Split):
    """With nothing to learn from, the copy is the one of the first answers."""
    lessons = Lessons()

    def all_flagged(twin: nn.Module, images: Images) -> Simulation:
        clean = softmax(twin, images)
        return Simulation(clean, clean, np.ones(len(images), bool))

    thief = Thief("digits", split.pool_x, 100, 0, 1, lessons, all_flagged)
    target = MeteredTarget(Served(protectee, distorted), 100)
    assert full_knowledge.steal_discarding(target, thief) is lessons.copies[0]
    assert len(lessons.given) == 1


def test_full_knowledge_inverts_only_what_is_flagged(protectee: nn.Module, split: Split):
    """Answers that are not flagged are learned as they are, the others from the twin."""
    lessons = Lessons()
    steal("full-knowledge-invert", protectee, thief_of(split, 300, lessons))
    queries, targets = lessons.given[-1]
    flagged, answers = is_odd(queries), distorted(softmax(protectee, queries))
    np.testing.assert_allclose(targets[~flagged], answers[~flagged], atol=1e-6)
    twin = softmax(lessons.copies[0], queries[flagged])
    assert np.array_equal(targets[flagged], full_knowledge.invert_reversal(answers[flagged], twin))


def test_a_reversal_is_inverted_by_the_shadow_it_was_made_of():
    """With the mean shadow itself, an unclipped gradient reversal gives the truth back."""
    shadow = np.array([[0.5, 0.3, 0.2], [0.4, 0.3, 0.3]], np.float32)
    truth = np.array([[0.7, 0.2, 0.1], [0.2, 0.3, 0.5]], np.float32)
    reversed_rows = gradient_reverse(torch.from_numpy(truth), torch.from_numpy(shadow)).numpy()
    inverted = full_knowledge.invert_reversal(reversed_rows.astype(np.float32), shadow)
    np.testing.assert_allclose(inverted, truth, atol=1e-5)


def test_an_answer_that_is_no_reversal_leaves_the_label_of_the_twin():
    """An answer on a class that the twin nearly rules out cannot come from it."""
    twin = np.array([[0.6, 0.39, 0.01]], np.float32)
    answers = np.array([[0, 0, 1]], np.float32)
    assert np.array_equal(full_knowledge.invert_reversal(answers, twin), one_hot(twin))
