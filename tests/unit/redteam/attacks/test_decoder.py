"""Decoder: defended answers are read without a rule."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from queen.method.gradient_reverse import paper_answer
from queen.redteam.attacks import ATTACKS
from queen.redteam.attacks.base import Simulation, Thief
from queen.redteam.attacks.decoder import decoded_belief, weighed
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
    score,
    steal,
    thief_with,
    train_quickly,
    undefended,
)


def published(answers: Answers) -> Answers:
    """The published reversal of answers, by shadows that are right but unsure."""
    shadows = torch.from_numpy(0.4 * answers + 0.06)
    return paper_answer(torch.from_numpy(answers), shadows).numpy()


def rehearse(network: nn.Module, images: Images) -> Simulation:
    """The same defense of another model, after the same number of clean answers."""
    clean = posterior(network, images)
    is_flagged = np.arange(len(images)) >= PREFIX
    defended = np.where(is_flagged[:, None], published(clean), clean)
    return Simulation(clean, defended, is_flagged)


def test_a_rehearsal_teaches_to_read_the_reversal() -> None:
    """A defense whose answers name the true class by their least number is undone."""
    thief = Thief("digits", SPLIT.pool_x, MANY, 0, 1, train_quickly, rehearse)
    target = DistortedTarget(after_prefix(published))
    copy = ATTACKS["decoder-rehearsed"].steal(MeteredTarget(target, MANY), thief)
    assert score(copy) > score(undefended("label-only", MANY)) - 0.05


def test_the_belief_of_a_copy_teaches_as_well() -> None:
    """A permutation of the classes is undone, and the copy beats the one that taught."""
    target = DistortedTarget(after_prefix(lambda answers: answers[:, SHIFT]))
    copy, _ = steal("decoder-believing", target, thief_with(MANY))
    first, _ = steal("early-trust-prefix-only", target, thief_with(MANY))
    assert score(copy) > score(first)
    assert score(copy) > score(undefended("label-only", MANY)) - 0.05


def test_a_decoder_is_right_more_often_than_its_teacher() -> None:
    """Beliefs that are right four times of five teach what the clues say."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 1_200)
    guess = np.where(rng.random(1_200) < 0.8, truth, rng.integers(0, 4, 1_200))
    clues = np.eye(4, dtype=np.float32)[(truth + 1) % 4] + rng.normal(0, 0.1, (1_200, 4))
    decoded = decoded_belief(clues.astype(np.float32), np.eye(4, dtype=np.float32)[guess], 0)
    assert (decoded.argmax(axis=1) == truth).mean() > 0.95


def test_a_decoder_that_knows_nothing_leaves_the_belief() -> None:
    """An even reading changes no belief where all classes are believed as often."""
    belief = np.array([[0.7, 0.3], [0.3, 0.7]], np.float32)
    targets = weighed(np.full((2, 2), 0.5, np.float32), belief)
    np.testing.assert_allclose(targets, belief, atol=1e-4)
