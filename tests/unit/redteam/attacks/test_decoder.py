"""Decoder: defended answers are read without a rule."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from queen.method.answers.gradient_reverse import paper_answer
from queen.redteam.attacks import ATTACKS
from queen.redteam.attacks.base import Simulation, Thief
from queen.redteam.attacks.decoder import as_answered, by_ranks, read_unseen
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
    assert_same_copy,
    garbage,
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


def test_a_reading_is_right_more_often_than_its_teacher() -> None:
    """Beliefs that are right four times of five teach what the clues say."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 1_200)
    believed = np.where(rng.random(1_200) < 0.8, truth, rng.integers(0, 4, 1_200))
    clues = np.eye(4, dtype=np.float32)[(truth + 1) % 4] + rng.normal(0, 0.1, (1_200, 4))
    assert (read_unseen(clues.astype(np.float32), believed, 0) == truth).mean() > 0.95


def test_ranks_tell_a_reversal_apart() -> None:
    """Answers of which every second one hides its class in the last rank are read by rank."""
    rng = np.random.default_rng(1)
    answers = rng.dirichlet(np.full(6, 0.5), 1_000).astype(np.float32)
    truth = answers.argmax(axis=1)
    answers[::2] = published(answers[::2])
    believed = np.where(rng.random(1_000) < 0.9, truth, rng.integers(0, 6, 1_000))
    assert (as_answered(answers, believed, 0) == truth).mean() < 0.6
    assert (by_ranks(answers, believed, 0) == truth).mean() > 0.9


def test_answers_that_tell_nothing_leave_the_early_copy() -> None:
    """Noise agrees with no copy, and is not learned."""
    copy, _ = steal("decoder-believing", DistortedTarget(after_prefix(garbage)), thief_with(MANY))
    first, _ = steal("early-trust-prefix-only", DistortedTarget(), thief_with(MANY))
    assert_same_copy(copy, first)
