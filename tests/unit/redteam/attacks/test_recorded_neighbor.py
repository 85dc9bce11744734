"""Recorded neighbor: queries stay near the first ones."""

from __future__ import annotations

import numpy as np

from tests.unit.redteam.attacks.distorted import DistortedTarget, steal, thief_with


def test_look_alikes_go_to_the_account_of_their_image():
    """A copy is covered by the records of its own account only."""
    target = DistortedTarget()
    steal("recorded-neighbor", target, thief_with(200, accounts=3))
    for account in target.accounts.values():
        first, *later = account.asked
        for part in later:
            assert np.abs(part - first[: len(part)]).max() < 0.2
