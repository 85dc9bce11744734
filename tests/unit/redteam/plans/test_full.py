"""The full plan measures every setting for three seeds, screened or whole."""

from __future__ import annotations

from collections import Counter

from queen.defaults import PROFILE
from queen.redteam.attacks import ATTACKS
from queen.redteam.plans.full import full_plan
from queen.redteam.plans.plan import NEED_AN_ENDPOINT, PROFILES


def test_the_full_plan_has_three_seeds():
    """Every setting is measured for the seeds 0, 1 and 2; a screened one begins with seed 0."""
    plan = full_plan()
    for part in plan.parts:
        seeds = Counter(cell.seed for cell in plan.cells_of(part))
        assert sorted(seeds) == ([0] if part.is_screened else [0, 1, 2])
        assert len(set(seeds.values())) == 1


def test_every_profile_meets_the_attacks_that_read_answers():
    """What a profile does not meet is said by name, but for the waiting attacks on `safe`."""
    plan = full_plan()
    met: dict[str, set[str]] = {name: set() for name in PROFILES}
    for cell in plan.cells():
        if cell.profile in met:
            met[cell.profile].add(cell.attack)
    assert len(met[PROFILE.value]) > 30
    for name in PROFILES:
        assert met[name] >= {"knockoff", "label-only", "active", "d-dae", "decoder-believing"}
        if name != "safe":
            missing = set(ATTACKS) - met[name]
            assert missing >= set(NEED_AN_ENDPOINT)
            assert all(attack in plan.left_out for attack in missing)


def test_the_plan_fits_into_six_hours_on_two_cores():
    """At most 700 cells of about a minute, if a third of the screened attacks contend."""
    plan = full_plan()
    screened = {cell for part in plan.parts if part.is_screened for cell in plan.cells_of(part)}
    settings = {(c.defense, c.profile, c.pool, c.accounts, c.linked) for c in screened}
    later = len(plan.seeds) - 1
    assert len(plan.cells()) + later * len(screened) / 3 + len(plan.seeds) * len(settings) < 700
