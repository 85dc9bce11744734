"""The pairs of accounts whose link is worth a look, found without comparing all pairs.

An inverted index: the records of all accounts, by class, in cells as wide as the coverage
radius. Two accounts that were in a rare place together are more telling than two in a crowded
place, so rare places are searched first; the most crowded cells say least and cost most, and are
left out where the work would be too much.

Shapes: A accounts, C classes, N pairs of accounts. In a pair of accounts, `fewer` is the account
with fewer records over all classes and `more` is the other; both are positions in the population.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray, Geometry
from queen.method.links.linkage import (
    LEAST_SHARED,
    Ledgers,
    Overlap,
    chance_overlap,
    least_surprise,
    surprise,
)
from queen.method.neighbor_grid import NeighborGrid, Rows


@dataclass(frozen=True)
class SearchLimits:
    """Limits of the work of a search.

    `neighbors`: pairs of records that it visits, about 10 s. `candidates`: pairs of accounts
    whose overlap it computes. `block`: pairs of records in memory at a time, about 50 MB.
    """

    neighbors: int = 64_000_000
    candidates: int = 10_000
    block: int = 2_000_000


@dataclass(frozen=True)
class Link:
    """Two accounts, by their positions in the population; `overlap` counts records of `fewer`."""

    fewer: int
    more: int
    overlap: Overlap


@dataclass(frozen=True)
class LinkSearch:
    """Links, the strongest first, and the work that was left out.

    `records_left` were not visited, since too many lie around them or the time was up;
    `candidates_left` pairs of accounts that seemed alike were not compared.
    """

    links: tuple[Link, ...]
    records_left: int
    candidates_left: int


class Candidates(NamedTuple):
    """Pairs of accounts, `fewer` (N,) and `more` (N,), with an upper bound of their surprise."""

    fewer: Rows
    more: Rows
    surprises: FloatArray


def find_links(
    geometry: Geometry,
    population: Sequence[Ledgers],
    limits: SearchLimits = SearchLimits(),
    *,
    searches_on: Callable[[], bool] = lambda: True,
    compares_on: Callable[[], bool] = lambda: True,
) -> LinkSearch:
    """Every pair whose overlap `is_likely`, against the population of all but the two.

    Complete unless the limits or a callback cut the work short, which the result says.
    `searches_on` is asked while it searches for candidates, `compares_on` while it compares
    them, between pieces of some milliseconds; False ends that part.
    """
    index = LinkIndex(geometry, population, limits.block)
    cutoff = index.cutoff(limits.neighbors)
    candidates, records_left = index.candidates(
        cutoff, least_surprise(index.pair_count), searches_on
    )
    order = np.argsort(-candidates.surprises, kind="stable")[: limits.candidates]
    links, compared = index.links(candidates.fewer[order], candidates.more[order], compares_on)
    links.sort(key=lambda link: (-link.overlap.score, link.fewer, link.more))
    return LinkSearch(tuple(links), records_left, len(candidates.fewer) - compared)


@dataclass(frozen=True, eq=False)
class _ClassPool:
    """All records of one class: a grid of them, and the account that has each."""

    records: NDArray[np.float32]
    owners: Rows
    grid: NeighborGrid
    crowd: Rows
    """Number of records in the cells around each record."""


@dataclass(frozen=True)
class _Block:
    """Accounts `first` to `last`, whose records in crowds up to `cutoff` are visited."""

    first: int
    last: int
    cutoff: int

    def rows(self, pool: _ClassPool) -> Rows:
        """Records of these accounts in a class, (M,) positions in the pool."""
        begin, end = np.searchsorted(pool.owners, [self.first, self.last]).tolist()
        rows: Rows = begin + np.flatnonzero(pool.crowd[begin:end] <= self.cutoff)
        return rows


class _Shared(NamedTuple):
    """Records that a block's accounts share with others in one class.

    For each pair, written as one number in `pairs`: how many records are `covered`, and `own`, the
    share of their neighbors that is the other account's. For each account of the block: sums of pi
    (`shares`) and of pi^2 (`squares`).
    """

    pairs: Rows
    covered: FloatArray
    own: FloatArray
    shares: FloatArray
    squares: FloatArray


_NO_PAIRS = Candidates(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


class LinkIndex:
    """The records of a population of A accounts, by class, each class in a grid."""

    def __init__(self, geometry: Geometry, population: Sequence[Ledgers], block: int) -> None:
        self._block = block
        self._accounts = len(population)
        labels = sorted({label for ledgers in population for label in ledgers})
        counts = np.array(
            [[len(ledgers.get(label, ())) for label in labels] for ledgers in population], np.int64
        ).reshape(len(population), len(labels))
        self._rank = np.empty(len(population), np.int64)
        by_size = np.argsort(counts.sum(axis=1), kind="stable")
        self._rank[by_size] = np.arange(len(population))
        # Without a third account there is no population to compare with.
        columns = np.flatnonzero((counts > 0).sum(axis=0) >= 3)
        self._counts = counts[:, columns]
        """K of every account and class, (A, C)."""
        self._pools = [
            _class_pool(geometry, population, labels[column], counts[:, column])
            for column in columns.tolist()
        ]

    @property
    def pair_count(self) -> int:
        """The number of pairs of accounts, A (A - 1) / 2."""
        return self._accounts * (self._accounts - 1) // 2

    def cutoff(self, most_neighbors: int) -> int:
        """The largest crowd around a record that fits into `most_neighbors` pairs of records."""
        if not self._pools:
            return 0
        crowds = np.sort(np.concatenate([pool.crowd for pool in self._pools]))
        fits = int(np.searchsorted(np.cumsum(crowds), most_neighbors, side="right"))
        if fits == len(crowds):
            return int(crowds[-1])
        # Crowds of one size are visited together or not at all.
        return int(crowds[fits]) - 1

    def candidates(
        self, cutoff: int, threshold: float, searches_on: Callable[[], bool]
    ) -> tuple[Candidates, int]:
        """Pairs whose surprise may reach `threshold`, and how many records were not visited."""
        left = sum(len(pool.records) for pool in self._pools)
        pieces = [_NO_PAIRS]
        for first, last in self._blocks(cutoff):
            block = _Block(first, last, cutoff)
            pairs = self._candidates_of(block, threshold, searches_on)
            if pairs is None:
                break
            pieces.append(pairs)
            left -= sum(len(block.rows(pool)) for pool in self._pools)
        return Candidates(*map(np.concatenate, zip(*pieces, strict=True))), left

    def _blocks(self, cutoff: int) -> Iterator[tuple[int, int]]:
        """Ranges of accounts that are searched together."""
        work = np.zeros(self._accounts)
        for pool in self._pools:
            visited = np.where(pool.crowd <= cutoff, pool.crowd, 0)
            work += np.bincount(pool.owners, visited, minlength=self._accounts)
        blocks = (np.cumsum(work) - work) // self._block
        starts = [0, *(np.flatnonzero(np.diff(blocks)) + 1).tolist(), self._accounts]
        return pairwise(starts)

    def _candidates_of(
        self, block: _Block, threshold: float, searches_on: Callable[[], bool]
    ) -> Candidates | None:
        """Candidates of a block's accounts, judged by the records that are visited.

        Chance explains at least what Bonferroni's inequality leaves, 1 - (1 - pi)^K >=
        K pi - K (K - 1) / 2 pi^2. Summed over the records it needs no pass over them for each
        pair, and no likely pair gets lost. None if `searches_on` ended the search.
        """
        by_class = []
        for column, pool in enumerate(self._pools):
            shared = self._shared(block, column, pool, searches_on)
            if shared is None:
                return None
            by_class.append(shared)
        if not by_class:
            return _NO_PAIRS
        pairs, inverse = np.unique(
            np.concatenate([shared.pairs for shared in by_class]), return_inverse=True
        )
        every_covered = np.concatenate([shared.covered for shared in by_class])
        every_own = np.concatenate([shared.own for shared in by_class])
        covered = np.bincount(inverse, every_covered, len(pairs))
        own = np.bincount(inverse, every_own, len(pairs))
        is_shared = covered >= LEAST_SHARED
        fewer, more = np.divmod(pairs[is_shared], self._accounts)
        expected = -own[is_shared].astype(np.float64)
        for column, shared in enumerate(by_class):
            counts = self._counts[more, column].astype(np.float64)
            expected += counts * shared.shares[fewer - block.first]
            expected -= counts * (counts - 1) / 2 * shared.squares[fewer - block.first]
        # The inequality may allow 0 or less, but every expectation is above 0.
        least = np.maximum(expected, 1e-9)
        surprises = np.array(
            list(map(surprise, covered[is_shared].tolist(), least.tolist())), np.float64
        )
        kept = surprises >= threshold
        return Candidates(fewer[kept], more[kept], surprises[kept])

    def _shared(
        self, block: _Block, column: int, pool: _ClassPool, searches_on: Callable[[], bool]
    ) -> _Shared | None:
        rows = block.rows(pool)
        neighbors = np.zeros(len(rows), np.float64)
        pieces: list[Rows] = [np.zeros(0, np.int64)]
        for queries, points in pool.grid.near(pool.records[rows]):
            owner, other = pool.owners[rows[queries]], pool.owners[points]
            neighbors += np.bincount(queries[owner != other], minlength=len(rows))
            has_fewer = self._rank[owner] < self._rank[other]
            pieces.append(queries[has_fewer] * self._accounts + other[has_fewer])
            if not searches_on():
                return None
        pi = (neighbors + 0.5) / (len(pool.records) + 1.0)
        owners = pool.owners[rows] - block.first
        width = block.last - block.first
        # A record may have several neighbors of one account, and is covered once.
        covers, times = np.unique(np.concatenate(pieces), return_counts=True)
        queries, other = np.divmod(covers, self._accounts)
        own = times * self._counts[other, column] / (len(pool.records) + 1.0)
        pairs, inverse = np.unique(
            pool.owners[rows[queries]] * self._accounts + other, return_inverse=True
        )
        return _Shared(
            pairs,
            np.bincount(inverse, minlength=len(pairs)).astype(np.float64),
            np.bincount(inverse, own, len(pairs)).astype(np.float64),
            np.bincount(owners, pi, width).astype(np.float64),
            np.bincount(owners, np.square(pi), width).astype(np.float64),
        )

    def links(
        self, fewer: Rows, more: Rows, compares_on: Callable[[], bool]
    ) -> tuple[list[Link], int]:
        """Pairs that are likely links, and how many of the pairs were compared."""
        partners: dict[int, list[int]] = {}
        for account, partner in zip(fewer.tolist(), more.tolist(), strict=True):
            partners.setdefault(account, []).append(partner)
        links: list[Link] = []
        compared = 0
        for account, of_account in partners.items():
            if not compares_on():
                break
            overlaps = self._overlaps(account, np.array(of_account))
            links += [
                Link(account, partner, overlap)
                for partner, overlap in zip(of_account, overlaps, strict=True)
                if overlap.is_likely(self.pair_count)
            ]
            compared += len(of_account)
        return links, compared

    def _overlaps(self, account: int, partners: Rows) -> list[Overlap]:
        """Overlaps of one account with each of its partners, equal to `linkage.overlap`."""
        totals = [Overlap(0, 0.0, 0.0)] * len(partners)
        for column, pool in enumerate(self._pools):
            first, last = np.searchsorted(pool.owners, [account, account + 1]).tolist()
            if first == last:
                continue
            near = list(pool.grid.near(pool.records[first:last]))
            rows = np.concatenate([rows for rows, _ in near])
            owners = pool.owners[np.concatenate([points for _, points in near])]
            rows, owners = rows[owners != account], owners[owners != account]
            neighbors = np.bincount(rows, minlength=last - first)
            order = np.argsort(owners, kind="stable")
            rows, owners = rows[order], owners[order]
            bounds = np.searchsorted(owners, np.stack([partners, partners + 1])).T.tolist()
            for index, (begin, end) in enumerate(bounds):
                of_partner = np.bincount(rows[begin:end], minlength=last - first)
                count = int(self._counts[partners[index], column])
                crowd = len(pool.records) - (last - first) - count
                counts = (neighbors - of_partner).astype(np.float64)
                covered = int((of_partner > 0).sum())
                totals[index] += chance_overlap(covered, counts, crowd, count)
        return totals


def _class_pool(
    geometry: Geometry, population: Sequence[Ledgers], label: int, counts: Rows
) -> _ClassPool:
    records = np.concatenate([ledgers[label] for ledgers in population if label in ledgers])
    grid = NeighborGrid(records, float(geometry.coverage_radius[label]))
    owners = np.repeat(np.arange(len(population)), counts)
    return _ClassPool(records, owners, grid, grid.crowd(records))
