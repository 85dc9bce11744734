"""The number of queries that honest accounts of each kind may ask before they are over budget.

Shapes: N samples, E embedding width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queen.method.crossing import PolicyThresholds
from queen.method.geometry import Geometry
from queen.method.honest.traffic import CHANGED, ClassRows, Kind
from queen.method.sensitivity import Charge
from queen.method.walk.ledger_walk import NEVER, LedgerWalk
from queen.method.walk.sent_samples import SentSamples

QUERIES = 10_000
"""Queries of a simulated account."""
_ACCOUNTS = 100
_MARGIN = 0.9
_MOST_SAMPLES = 100_000
"""Samples that accounts draw from, at most: more would need memory and time."""


@dataclass(frozen=True, eq=False)
class Seen:
    """Samples as the protectee sees them.

    Embeddings (N, E), predicted classes (N,), and the true classes (N,) by which accounts choose
    what they ask about.
    """

    embeddings: NDArray[np.float32]
    predicted: NDArray[np.integer]
    classes: NDArray[np.integer]

    def part(self, rows: NDArray[np.int64]) -> Seen:
        """Some of the samples."""
        return Seen(self.embeddings[rows], self.predicted[rows], self.classes[rows])


def honest_volumes(
    geometry: Geometry,
    seen: Seen,
    policy: PolicyThresholds,
    seed: int,
    charge: Charge = Charge.REGIONS,
) -> dict[Kind, int | None]:
    """Queries that an honest account may ask within its budget, by its kind of traffic.

    The fewest over 100 accounts that draw from the training samples, less a tenth; None if none of
    them is over within 10,000 queries. Kinds whose inputs are changed samples are left out, since
    the protectee would have to see them: `queen bench honest` measures those. Training samples
    lie nearer to their centers than new samples, and fewer of them are predicted wrong.
    """
    rng = np.random.default_rng([seed, 3])
    if len(seen.classes) > _MOST_SAMPLES:
        seen = seen.part(rng.permutation(len(seen.classes))[:_MOST_SAMPLES])
    by_class = ClassRows(seen.classes)
    walk = LedgerWalk(SentSamples(geometry, seen.embeddings, seen.predicted, charge))
    return {
        kind: _volume(
            walk, np.stack([by_class.draw(kind, QUERIES, rng) for _ in range(_ACCOUNTS)]), policy
        )
        for kind in by_class.kinds()
        if kind not in CHANGED
    }


def _volume(walk: LedgerWalk, orders: NDArray[np.int64], policy: PolicyThresholds) -> int | None:
    first = int(walk.over(orders, policy).min())
    return None if first == NEVER else int(_MARGIN * (first + 1))
