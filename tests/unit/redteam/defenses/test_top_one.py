"""Top-1 against its equation."""

from __future__ import annotations

import numpy as np

from queen.redteam.defenses.top_one import top_one


def test_top_one_is_one_hot_of_the_first_largest():
    """A tie goes to the lower class, as argmax has it."""
    y = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]], np.float32)
    assert top_one(y).tolist() == [[0, 1, 0], [1, 0, 0]]
