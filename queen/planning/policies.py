"""Policies to be tried on a log: budgets, breadths and class caps, and how strict each is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

from queen.bundle import Bundle
from queen.errors import ConfigError
from queen.method.crossing import CAP_OFF, CrossingPolicy, cap_text, needed_classes
from queen.method.sensitivity import largest_budget

BUDGETS = (50, 100, 200, 300, 500, 1000)
"""Budgets that are tried where an operator states none, as far as a bundle has room for them."""
BREADTHS = (1, 3, 5)
CLASS_CAPS = (3, 10, CAP_OFF)


def policy_text(policy: CrossingPolicy) -> str:
    """A policy in words."""
    cap = cap_text(policy.class_cap)
    return f"budget {policy.budget}, breadth {policy.breadth}, cap {cap}"


class Grid(NamedTuple):
    """The policies to be tried, the strictest first, and how many had no room."""

    policies: list[CrossingPolicy]
    without_room: int
    """Combinations whose class cap lies above the largest budget of the bundle."""


def make_grid(
    bundle: Bundle, budgets: Sequence[int], breadths: Sequence[int], class_caps: Sequence[int]
) -> Grid:
    """All combinations that differ, the strictest first; an empty sequence stands for the usual.

    Raises ConfigError for a budget above the largest of the bundle, and where no cap has room.
    """
    classes = bundle.manifest.num_classes
    largest = largest_budget(bundle.geometry, bundle.mean_squared_sqs)
    if max(budgets, default=0) > largest:
        raise ConfigError(
            f"expected budgets of at most {largest} records of a class, got {max(budgets)}: the "
            "regions of this bundle have no room for more"
        )
    tried = budgets or [budget for budget in BUDGETS if budget <= largest]
    distinct: dict[tuple[int, int, int], CrossingPolicy] = {}
    without_room = 0
    for budget, breadth, stated in product(tried, breadths or BREADTHS, class_caps or CLASS_CAPS):
        needed = needed_classes(breadth, classes)
        # The first crossed class comes before any cap.
        cap = CAP_OFF if needed == 1 else stated
        if cap != CAP_OFF and cap * budget > largest:
            without_room += 1
        else:
            distinct.setdefault((budget, needed, cap), CrossingPolicy(budget, breadth, cap))
    if not distinct:
        raise ConfigError(
            f"expected a class cap of at most {largest // min(tried)} budgets of {min(tried)} "
            f"records, got {min(class_caps)}: the regions of this bundle have no room for more"
        )
    policies = sorted(distinct.values(), key=lambda policy: allowance(policy, classes, largest))
    return Grid(policies, without_room)


def allowance(policy: CrossingPolicy, classes: int, largest: int) -> int:
    """The most records that an owner may hold before it is over, about: by it, less is stricter.

    All classes but one of those that are needed may be filled to the cap, or to the `largest`
    budget that a region has room for; each of the others to the budget.
    """
    filled = needed_classes(policy.breadth, classes) - 1
    most = min(policy.class_cap * policy.budget, largest)
    return filled * most + (classes - filled) * policy.budget
