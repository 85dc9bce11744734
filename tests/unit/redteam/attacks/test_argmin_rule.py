"""Argmin rule: the published reversal is read off by two comparisons."""

from __future__ import annotations

import numpy as np
import torch

from queen.method.answers.gradient_reverse import paper_answer
from queen.redteam.attacks.argmin_rule import read_labels
from queen.redteam.targets.base import Answers
from tests.unit.redteam.attacks.distorted import (
    MANY,
    DistortedTarget,
    after_prefix,
    score,
    steal,
    thief_with,
    undefended,
)


def published(answers: Answers) -> Answers:
    """The published reversal of answers, by shadows that are right but unsure."""
    shadows = torch.from_numpy(0.4 * answers + 0.06)
    return paper_answer(torch.from_numpy(answers), shadows).numpy()


def test_the_published_reversal_is_undone() -> None:
    """Its labels are wrong as answered, and the rule makes the copy of an undefended model."""
    target = after_prefix(published)
    believed, _ = steal("label-only", DistortedTarget(target), thief_with(MANY))
    undone, _ = steal("argmin-rule", DistortedTarget(target), thief_with(MANY))
    assert score(believed) < 0.5
    assert score(undone) > score(undefended("label-only", MANY)) - 0.03


def test_both_comparisons_must_hold() -> None:
    """A sure answer is read as it is, and so is a flat answer that denies no class."""
    answers = np.array(
        [[0.0, 0.1, 0.9], [0.3, 0.33, 0.37], [0.001, 0.45, 0.549], [0.02, 0.44, 0.54]], np.float32
    )
    assert read_labels(answers, 0.6).tolist() == [2, 2, 0, 2]
