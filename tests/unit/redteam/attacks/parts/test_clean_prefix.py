"""The clean prefix ends where answers become odd."""

from __future__ import annotations

import numpy as np
import pytest

from queen.redteam.attacks.parts.clean_prefix import ask_clean_prefix, usual_length
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.targets.base import Answers, MeteredTarget
from tests.unit.redteam.attacks.distorted import (
    MANY,
    SHIFT,
    DistortedTarget,
    after,
    protectee_network,
    thief_with,
)


@pytest.mark.parametrize("share", [0.0, 0.05])
def test_odd_answers_that_become_frequent_end_the_usual_ones(share: float) -> None:
    """The change is found to within a few answers, and no change is found where there is none."""
    rng = np.random.default_rng(0)
    calm, odd = rng.random(5_000) < share, rng.random(500) < share + 0.4
    assert usual_length(calm, share) == len(calm)
    assert abs(usual_length(np.concatenate([calm, odd]), share) - len(calm)) < 25


@pytest.mark.parametrize("accounts", [1, 3])
def test_the_prefix_ends_at_the_crossing(accounts: int) -> None:
    """Each account's answers are kept until they change, and no changed answer is."""
    clean = 120
    target = DistortedTarget(after(clean, lambda answers: answers[:, SHIFT]))
    thief = thief_with(MANY, accounts=accounts)
    images, answers = ask_clean_prefix(MeteredTarget(target, MANY), thief)
    np.testing.assert_allclose(answers, posterior(protectee_network(), images), atol=1e-5)
    # One query in 17 is the known one, and a crossing is told to within 16 images.
    assert accounts * (clean * 16 / 17 - 17) <= len(images) <= accounts * clean


def test_answers_that_are_reversed_now_and_then_end_it_too() -> None:
    """Where the known query is always answered, the share of odd answers tells."""

    def some(answers: Answers) -> Answers:
        is_reversed = np.arange(len(answers)) % 17 < 12
        return np.where(is_reversed[:, None], answers[:, SHIFT], answers)

    target = DistortedTarget(after(300, some))
    images, answers = ask_clean_prefix(MeteredTarget(target, MANY), thief_with(MANY))
    wrong = answers.argmax(axis=1) != posterior(protectee_network(), images).argmax(axis=1)
    assert 250 < len(images) < 320
    assert wrong.sum() < 20
