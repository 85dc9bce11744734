"""The smoke plan tries everything once."""

from __future__ import annotations

from queen.method.contracts import Profile
from queen.redteam.attacks import ATTACKS
from queen.redteam.defenses import DEFENSES
from queen.redteam.plans.smoke import smoke_plan


def test_the_smoke_plan_meets_every_attack_and_baseline():
    """The plan has every name of the registries, and every profile that defends."""
    cells = smoke_plan().cells()
    assert {cell.attack for cell in cells} == set(ATTACKS) - {"hurried"}
    assert {cell.defense for cell in cells} >= set(DEFENSES)
    profiles = {profile.value for profile in Profile if profile is not Profile.OBSERVE}
    assert {cell.profile for cell in cells} == {*profiles, None}
