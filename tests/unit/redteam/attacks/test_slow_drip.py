"""Slow drip: classes by turns."""

from __future__ import annotations

import numpy as np

from queen.redteam.attacks.slow_drip import in_rotation


def test_requests_rotate_over_classes():
    """Every class has its turn before one has a second, and none is asked out of order."""
    order = in_rotation(np.array([0, 0, 0, 0, 1, 1, 2, 0]), 2)
    assert order.tolist() == [0, 1, 4, 5, 6, 2, 3, 7]
