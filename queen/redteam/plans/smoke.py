"""The smoke plan: every attack and every baseline once on digits, in minutes."""

from __future__ import annotations

from queen.redteam.plans.plan import (
    MIXUP,
    OFF,
    PROFILES,
    SHIFT,
    AccountSpread,
    Part,
    Plan,
    attacks_without,
    baselines,
    ours,
)


def smoke_plan() -> Plan:
    """Minutes on two cores: every attack and every baseline once, on digits."""
    return Plan(
        name="smoke",
        dataset="digits",
        queries=1_000,
        budget=10,
        seeds=(0,),
        parts=(
            Part("copies of the answers as they are", ["knockoff"], [*ours(10), *baselines()]),
            Part("copies of the labels", ["label-only"], [*ours(10), *baselines()]),
            Part("every attack", attacks_without(), ours(10)),
            Part("other budgets", ["knockoff"], ours(20, 40)),
            Part(
                "fewer queries",
                ["knockoff"],
                [*ours(10), *baselines("none")],
                queries=(250, 500),
            ),
            Part(
                "many accounts",
                ["knockoff"],
                ours(10, profiles=PROFILES[-1:]),
                spreads=[
                    AccountSpread(2, linked=False),
                    AccountSpread(8, linked=False),
                    AccountSpread(8, linked=True),
                ],
            ),
            Part("other pools", ["knockoff"], ours(10), pools=(MIXUP, SHIFT, OFF)),
        ),
        left_out=(
            "Digits are small and easy: the figures show that the machinery works, not the worth "
            "of a defense. One seed; of the attacks only the plain copies met the baselines."
        ),
    )
