"""Label-only: numbers other than the label are thrown away."""

from __future__ import annotations

from queen.redteam.attacks.base import one_hot
from tests.unit.redteam.attacks.distorted import (
    FEW,
    DistortedTarget,
    assert_same_copy,
    steal,
    thief_with,
    undefended,
)


def test_answers_with_the_same_labels_make_the_same_copy() -> None:
    """A defense that keeps the label changes nothing."""
    flat = DistortedTarget(lambda answers, _had: 0.6 * one_hot(answers) + 0.04)
    copy, _ = steal("label-only", flat, thief_with(FEW))
    assert_same_copy(copy, undefended("label-only", FEW))
