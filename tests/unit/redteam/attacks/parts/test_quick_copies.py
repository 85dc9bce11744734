"""Quick copies know what they were taught."""

from __future__ import annotations

import numpy as np

from queen.redteam.attacks.parts.quick_copies import quick_belief, quick_copy
from queen.redteam.attacks.parts.readout import entropy, posterior
from tests.unit.redteam.attacks.distorted import SPLIT, protectee_network, thief_with


def test_quick_copies_learn_and_doubt() -> None:
    """Two hundred answers make most labels right, and doubt is larger where they are wrong."""
    images = SPLIT.pool_x[:200]
    lesson = (images, posterior(protectee_network(), images))
    belief = quick_belief(thief_with(200), lesson, SPLIT.test_x, copies=2)
    is_right = belief.argmax(axis=1) == SPLIT.test_y
    assert is_right.mean() > 0.8
    doubt = entropy(belief)
    assert doubt[~is_right].mean() > 2 * doubt[is_right].mean()


def test_a_salt_makes_another_copy() -> None:
    """The same salt makes the same."""
    images = SPLIT.pool_x[:100]
    answers = posterior(protectee_network(), images)
    first, again, other = (
        posterior(quick_copy(thief_with(100), images, answers, salt=salt), SPLIT.test_x)
        for salt in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert np.abs(first - other).max() > 0.01
