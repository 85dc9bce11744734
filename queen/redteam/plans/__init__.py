"""Plans: lists of attacks and the defenses that they meet, found by name in `PLANS`."""

from __future__ import annotations

from queen.redteam.plans.cifar10 import cifar10_plan
from queen.redteam.plans.full import full_plan
from queen.redteam.plans.smoke import smoke_plan

PLANS = {"smoke": smoke_plan, "full": full_plan, "cifar10": cifar10_plan}
