"""The plan of CIFAR-10 is small enough for two cores."""

from __future__ import annotations

from queen.defaults import PROFILE
from queen.redteam.plans.cifar10 import cifar10_plan


def test_few_cells_meet_the_profiles_that_matter():
    """The default, `paper` and `refuse`, beside no defense and labels alone: cells of minutes."""
    cells = cifar10_plan().cells()
    assert {cell.profile for cell in cells} == {None, PROFILE.value, "paper", "refuse"}
    assert {cell.defense for cell in cells} == {"queen", "none", "top-1"}
    assert len(cells) <= 30
