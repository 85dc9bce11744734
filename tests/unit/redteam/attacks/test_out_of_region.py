"""Out of region: a larger pool is chosen from."""

from __future__ import annotations

import numpy as np

from queen.redteam.attacks.parts.readout import entropy, posterior
from tests.unit.redteam.attacks.distorted import (
    SPLIT,
    DistortedTarget,
    protectee_network,
    steal,
    thief_with,
    train_quickly,
)


def test_a_larger_pool_is_chosen_from():
    """Out of region, the images asked after the prefix are the ones that the copy doubts."""
    target = DistortedTarget()
    steal("out-of-region-entropy", target, thief_with(200))
    asked = target.asked()
    copy = train_quickly(asked[:100], posterior(protectee_network(), asked[:100]))
    assert np.array_equal(asked[:100], SPLIT.pool_x[:100])
    doubts = [entropy(posterior(copy, x)).mean() for x in (asked[100:], SPLIT.pool_x[100:])]
    assert doubts[0] > 1.5 * doubts[1]
