"""Hurried: bare labels among answers, and an attack on a target without deadlines."""

from __future__ import annotations

import numpy as np

from queen.redteam.attacks.hurried import is_label_only
from tests.unit.redteam.attacks.distorted import (
    FEW,
    DistortedTarget,
    assert_same_copy,
    steal,
    thief_with,
    undefended,
)


def test_an_answer_whose_other_classes_are_alike_is_a_bare_label() -> None:
    """A very sure model gives next to nothing to all others, which is no such answer."""
    answers = np.array(
        [[0.7, 0.1, 0.1, 0.1], [0.7, 0.2, 0.05, 0.05], [1.0, 0.0, 0.0, 0.0]], np.float32
    )
    assert is_label_only(answers).tolist() == [True, False, False]


def test_without_deadlines_it_asks_as_a_plain_copy_does() -> None:
    """Every query is answered, and all answers are learned."""
    copy, meter = steal("hurried", DistortedTarget(), thief_with(FEW))
    assert meter.spent == FEW
    assert_same_copy(copy, undefended("knockoff", FEW))
