"""The crossing policies of the frontier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from queen.bundle import Bundle
from queen.method.crossing import CAP_OFF, CrossingPolicy, PolicyThresholds, policy_thresholds
from queen.method.geometry import FloatArray
from queen.redteam.report.rows import Row

BREADTHS = (1, 3, 5, 6, 8)
CAPS = (1, 3, 10, CAP_OFF)


@dataclass(frozen=True, eq=False)
class Contender:
    """A crossing policy in the sweep, with its numbers under a bundle.

    An owner is over with `breadth` crossed classes, whatever share of all classes that is: the
    sweep shows what the largest share of the product costs and gives.
    """

    budget: int
    breadth: int
    class_cap: int
    thresholds: PolicyThresholds

    @property
    def levels(self) -> FloatArray:
        """T, and the cap or infinity, as levels, (2, C)."""
        thresholds, caps = self.thresholds.thresholds, self.thresholds.caps
        return np.stack([thresholds, np.full_like(thresholds, np.inf) if caps is None else caps])

    @property
    def key(self) -> Row:
        """The policy in a row."""
        cap = None if self.class_cap == CAP_OFF else self.class_cap
        return {"budget": self.budget, "breadth": self.breadth, "class_cap": cap}

    @property
    def name(self) -> str:
        """The policy in a cell's name."""
        return "-".join(str(value or "off") for value in self.key.values())


def contenders(
    bundle: Bundle,
    budget: int,
    breadths: Sequence[int] = BREADTHS,
    caps: Sequence[int] = CAPS,
) -> Iterator[Contender]:
    """All breadths by all caps that differ: at breadth 1 or cap 1 the first crossing decides.

    Raises ConfigError for a budget or a cap for which the regions have no room.
    """
    pairs = [(breadth, cap) for breadth in breadths for cap in caps]
    distinct = dict.fromkeys((1, CAP_OFF) if 1 in pair else pair for pair in pairs)
    for breadth, cap in distinct:
        policy = CrossingPolicy(budget, breadth, cap)
        numbers = policy_thresholds(bundle.geometry, bundle.mean_squared_sqs, policy)
        yield Contender(budget, breadth, cap, numbers._replace(needed=breadth))
