"""Linking accounts by what they cover, where two ledgers overlap more than chance explains.

For suggestions to an operator and for alarms only. A verdict never follows from it: honest
accounts ask about the same things, and no account may be able to hurt another.

Shapes: M and K records of two accounts, P records of the population, E axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray, Geometry
from queen.method.neighbors import nearest_distances

Ledger = Mapping[int, NDArray[np.float32]]
"""Records (M, E) of one account by class."""

LIKELY_LINK = 6.0
"""Standard deviations above chance from which a link is worth a look."""


@dataclass(frozen=True)
class Overlap:
    """How many records of one account lie within r of the other's, and what chance would give."""

    covered: int
    expected: float
    variance: float

    @property
    def score(self) -> float:
        """Standard deviations above chance; 0 where nothing can be said."""
        if self.variance <= 0:
            return 0.0
        return (self.covered - self.expected) / float(np.sqrt(self.variance))

    def __add__(self, other: Overlap) -> Overlap:
        return Overlap(
            self.covered + other.covered,
            self.expected + other.expected,
            self.variance + other.variance,
        )


def overlap(geometry: Geometry, one: Ledger, other: Ledger, population: Ledger) -> Overlap:
    """Overlap of two ledgers, class by class, against a population of honest records.

    A record z of `one` is covered by chance with probability 1 - (1 - pi(z))^K, where pi(z)
    is the share of the population's records within r of z and K the records of `other`.
    `population` must not hold the two accounts' own records.
    """
    total = Overlap(0, 0.0, 0.0)
    for label, records in one.items():
        others, crowd = other.get(label), population.get(label)
        if others is None or crowd is None or not len(records) or not len(others):
            continue
        radius = float(geometry.coverage_radius[label])
        covered = int((nearest_distances(others, records) <= radius).sum())
        share = (neighbor_counts(crowd, records, radius) + 0.5) / (len(crowd) + 1.0)
        chance = 1.0 - (1.0 - share) ** len(others)
        total += Overlap(covered, float(chance.sum()), float((chance * (1.0 - chance)).sum()))
    return total


def neighbor_counts(
    crowd: NDArray[np.floating], records: NDArray[np.floating], radius: float
) -> FloatArray:
    """How many of `crowd` (P, E) lie within `radius` of each of `records` (M, E), (M,)."""
    wide = np.asarray(crowd, np.float64)
    counts = [
        float((np.einsum("pe,pe->p", wide - record, wide - record) <= radius**2).sum())
        for record in np.asarray(records, np.float64)
    ]
    return np.array(counts)
