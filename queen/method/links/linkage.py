"""The overlap of two accounts' ledgers, and whether chance explains it.

For suggestions to an operator and for alarms only. No verdict follows from it: honest accounts
ask about the same things, and no account may be able to hurt another.

Shapes: M and K records of two accounts, P records of the population, E axes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray, Geometry

Ledgers = Mapping[int, NDArray[np.float32]]
"""Records (M, E) of one account by class."""

LIKELY_LINK = 6.0
"""Standard deviations above chance from which a link is worth a look."""
LEAST_SHARED = 4
"""Records that two accounts must share: fewer are no pattern, however rare they are."""
FALSE_LINKS = 0.01
"""Links by chance that are accepted among all pairs that are compared."""


@dataclass(frozen=True)
class Overlap:
    """The number of records of one account within r of another's, and the number by chance.

    `covered` records do. By chance `expected` would, with `variance`.
    """

    covered: int
    expected: float
    variance: float

    @property
    def score(self) -> float:
        """Standard deviations above chance; 0 where nothing can be said."""
        if self.variance <= 0:
            return 0.0
        return (self.covered - self.expected) / float(np.sqrt(self.variance))

    def is_likely(self, pairs: int) -> bool:
        """Whether a link is worth a look where so many pairs of accounts were compared.

        LIKELY_LINK alone is not enough: where little is expected a few records in common reach
        it, and among millions of pairs some have them by chance.
        """
        return (
            self.score >= LIKELY_LINK
            and self.covered >= LEAST_SHARED
            and surprise(self.covered, self.expected) >= least_surprise(pairs)
        )

    def __add__(self, other: Overlap) -> Overlap:
        return Overlap(
            self.covered + other.covered,
            self.expected + other.expected,
            self.variance + other.variance,
        )


def surprise(covered: float, expected: float) -> float:
    """Lower bound of -log of the chance to cover so many where `expected` are; 0 for no surprise.

    Chernoff's bound for a sum of independent events: c ln(c / e) - c + e.
    """
    if not 0 < expected < covered:
        return 0.0
    return covered * math.log(covered / expected) - covered + expected


def least_surprise(pairs: int) -> float:
    """The surprise that only FALSE_LINKS of `pairs` pairs reach by chance, at most."""
    return math.log(max(pairs, 1) / FALSE_LINKS)


def overlap(geometry: Geometry, ledgers: Ledgers, others: Ledgers, population: Ledgers) -> Overlap:
    """Overlap of two accounts, class by class, against a population of honest records.

    A record z in `ledgers` is covered by chance with probability 1 - (1 - pi(z))^K, where
    pi(z) is the share of the population's records within r of z and K the records in `others`.
    `population` must not hold the two accounts' own records.
    """
    total = Overlap(0, 0.0, 0.0)
    for label, records in ledgers.items():
        other_records, crowd = others.get(label), population.get(label)
        if other_records is None or crowd is None:
            continue
        radius = float(geometry.coverage_radius[label])
        covered = int((neighbor_counts(other_records, records, radius) > 0).sum())
        counts = neighbor_counts(crowd, records, radius)
        total += chance_overlap(covered, counts, len(crowd), len(other_records))
    return total


def chance_overlap(covered: int, counts: FloatArray, crowd: int, others: int) -> Overlap:
    """Overlap in one class, of `covered` records out of M.

    `counts` (M,): how many of the `crowd` P records of the population lie within r of a record.
    `others`: the K records of the other account. The overlap is empty if M, P or K is 0.
    """
    if not crowd or not others or not len(counts):
        return Overlap(0, 0.0, 0.0)
    share = (counts + 0.5) / (crowd + 1.0)
    chance = 1.0 - (1.0 - share) ** others
    return Overlap(covered, float(chance.sum()), float((chance * (1.0 - chance)).sum()))


def neighbor_counts(
    crowd: NDArray[np.floating], records: NDArray[np.floating], radius: float
) -> FloatArray:
    """Number of points of `crowd` (P, E) within `radius` of each of `records` (M, E), (M,)."""
    wide = np.asarray(crowd, np.float64)
    counts = [
        float((np.einsum("pe,pe->p", wide - record, wide - record) <= radius**2).sum())
        for record in np.asarray(records, np.float64)
    ]
    return np.array(counts)


def linked_groups(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Accounts that a chain of pairs joins, each group in order of the ids."""
    leaders: dict[str, str] = {}

    def leader_of(account: str) -> str:
        while leaders.setdefault(account, account) != account:
            leaders[account] = leaders[leaders[account]]
            account = leaders[account]
        return account

    for account, other in pairs:
        leaders[leader_of(account)] = leader_of(other)
    groups: dict[str, list[str]] = {}
    for account in sorted(leaders):
        groups.setdefault(leader_of(account), []).append(account)
    return list(groups.values())
