"""The plan of CIFAR-10: few defenses and attacks, in hours without a GPU."""

from __future__ import annotations

from queen.defaults import BUDGET, PROFILE
from queen.method.contracts import Profile
from queen.redteam.plans.plan import Part, Plan, baselines, ours

_PROFILES = tuple(dict.fromkeys((PROFILE.value, Profile.REFUSE.value, Profile.PAPER.value)))


def cifar10_plan() -> Plan:
    """About four hours on two cores: CIFAR-10, 10,000 queries, one seed."""
    profiles = ours(BUDGET, profiles=_PROFILES)
    return Plan(
        name="cifar10",
        dataset="cifar10",
        queries=10_000,
        budget=BUDGET,
        seeds=(0,),
        parts=(
            Part(
                "copies of the answers and of the labels",
                ["knockoff", "label-only"],
                [*baselines("none", "top-1"), *profiles],
            ),
            Part(
                "the answers before the crossing, and the unlabeled pool",
                ["prefix-and-stop", "ssl-prefix"],
                profiles,
            ),
            Part("answers read by a decoder", ["argmin-rule", "decoder-believing"], profiles),
        ),
        left_out=(
            "One seed and 10,000 queries, so that two cores need hours and not days: differences "
            "of a point or two may be the seed's. The full plan on Fashion-MNIST has the other "
            "profiles, attacks and baselines. On a GPU `--seeds 0 --seeds 1 --seeds 2 --queries "
            "20000` measures more, with larger networks."
        ),
    )
