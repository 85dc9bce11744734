"""The stream, asked and simulated account by account."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from queen.redteam.attacks import ATTACKS
from queen.redteam.attacks.base import Simulation, Thief
from queen.redteam.attacks.parts.simulated import simulate_spread
from queen.redteam.datasets import Images, Split
from queen.redteam.targets.base import MeteredTarget
from tests.unit.redteam.attacks.known_recipe import (
    Lessons,
    Served,
    distorted,
    is_odd,
    simulate,
    softmax,
)


@pytest.mark.parametrize("accounts", [1, 3, 40])
def test_each_account_is_simulated_with_its_own_queries(
    protectee: nn.Module, split: Split, accounts: int
):
    """The simulation's shares are those of the accounts; its rows are in the stream's order."""
    shares: list[Images] = []

    def remember(twin: nn.Module, images: Images) -> Simulation:
        shares.append(images)
        return simulate(twin, images)

    thief = Thief("digits", split.pool_x, 30, 0, accounts, Lessons(), remember)
    served = Served(protectee, distorted)
    ATTACKS["partial-bayes"].steal(MeteredTarget(served, 30), thief)
    asked = [np.concatenate(batches) for batches in served.received.values()]
    assert len(asked) == len(shares)
    assert all(np.array_equal(one, other) for one, other in zip(asked, shares, strict=True))
    whole = simulate_spread(thief, protectee, 15)
    np.testing.assert_allclose(whole.clean, softmax(protectee, thief.stream), atol=1e-6)
    assert np.array_equal(whole.is_flagged, is_odd(thief.stream))
