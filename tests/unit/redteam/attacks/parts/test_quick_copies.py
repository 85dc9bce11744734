"""Quick copies know what they were taught."""

from __future__ import annotations

import numpy as np

from queen.redteam.attacks.parts.quick_copies import quick_copy
from queen.redteam.attacks.parts.readout import entropy, posterior
from tests.unit.redteam.attacks.distorted import SPLIT, protectee_network, thief_with


def test_quick_copies_learn_and_doubt() -> None:
    """Two hundred answers make most labels right, and doubt is larger where they are wrong."""
    images = SPLIT.pool_x[:200]
    copy = quick_copy(thief_with(200), images, posterior(protectee_network(), images))
    belief = posterior(copy, SPLIT.test_x)
    is_right = belief.argmax(axis=1) == SPLIT.test_y
    assert is_right.mean() > 0.8
    doubt = entropy(belief)
    assert doubt[~is_right].mean() > 1.5 * doubt[is_right].mean()


def test_a_seed_makes_the_same_quick_copy() -> None:
    """Everything random follows from the thief's seed."""
    images = SPLIT.pool_x[:100]
    answers = posterior(protectee_network(), images)
    first, again = (
        posterior(quick_copy(thief_with(100), images, answers), SPLIT.test_x) for _ in range(2)
    )
    assert np.array_equal(first, again)
