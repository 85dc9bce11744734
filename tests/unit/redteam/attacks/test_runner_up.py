"""Runner-up: the second class is believed where it has nearly half."""

from __future__ import annotations

import numpy as np

from queen.redteam.attacks.runner_up import is_tied, second_where_close
from queen.redteam.targets.base import Answers
from tests.unit.redteam.attacks.distorted import (
    MANY,
    DistortedTarget,
    score,
    steal,
    thief_with,
    undefended,
)


def test_half_of_the_mass_on_another_class_is_undone():
    """A sure answer of which half goes elsewhere has its true class second."""

    def distort(answers: Answers, _had: int) -> Answers:
        others = (answers.argmax(axis=1) + 1) % 10
        return (0.48 * answers + 0.52 * np.eye(10)[others]).astype(np.float32)

    believed, _ = steal("knockoff", DistortedTarget(distort), thief_with(MANY))
    undone, _ = steal("runner-up", DistortedTarget(distort), thief_with(MANY))
    assert score(believed) < 0.5
    assert score(undone) > score(undefended("label-only", MANY)) - 0.05


def test_equal_halves_are_told_apart_by_a_copy():
    """Of answers half of which are two equal halves, the other half says which to believe."""

    def distort(answers: Answers, _had: int) -> Answers:
        labels = answers.argmax(axis=1)
        moved = np.eye(10)[(labels + np.where(labels % 2, 1, 3)) % 10]
        is_sure = np.arange(len(answers)) % 2 == 0
        own = np.where(is_sure, 0.5, 0.45)[:, None] * np.eye(10)[labels]
        return (own + np.where(is_sure, 0.5, 0.55)[:, None] * moved).astype(np.float32)

    plain, _ = steal("runner-up", DistortedTarget(distort), thief_with(MANY))
    told, _ = steal("runner-up-ties", DistortedTarget(distort), thief_with(MANY))
    assert score(told) > score(undefended("label-only", MANY)) - 0.1
    assert score(told) > score(plain)


def test_only_equal_halves_are_ties():
    """Two classes of the same mass, each nearly half; not two small ones, nor two unequal."""
    answers = np.array(
        [[0.5, 0.5, 0.0, 0.0], [0.6, 0.2, 0.2, 0.0], [0.25, 0.25, 0.25, 0.25], [0.51, 0.49, 0, 0]],
        np.float32,
    )
    assert is_tied(answers).tolist() == [True, False, False, False]


def test_the_second_is_believed_where_it_is_close():
    """From three tenths on; of equals the later one is second."""
    answers = np.array([[0.52, 0.48, 0], [0.6, 0.29, 0.11], [0.5, 0.0, 0.5]], np.float32)
    assert second_where_close(answers).argmax(axis=1).tolist() == [1, 0, 2]
