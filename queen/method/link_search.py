"""The pairs of accounts that a link is worth a look at, found without comparing all pairs.

An inverted index: the records of all accounts, by class, in cells as wide as the coverage
radius. Where few accounts have been, having been there together says much, so those cells
are looked at first; the most crowded ones say least and cost most, and are left out where
the work would be too much. Shapes: A accounts, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.method.cells import CellIndex, Places
from queen.method.geometry import FloatArray, Geometry
from queen.method.linkage import (
    LEAST_SHARED,
    Ledger,
    Overlap,
    chance_overlap,
    least_surprise,
    surprise,
)

MOST_NEIGHBORS = 64_000_000
"""Pairs of records that the search looks at: about 10 s."""
MOST_CANDIDATES = 10_000
"""Pairs of accounts whose overlap is computed."""
_BLOCK = 2_000_000
"""Pairs of records that are in memory at a time, about 50 MB."""


@dataclass(frozen=True)
class Link:
    """Two accounts, as places: `overlap` is of the records of `one`, which has fewer."""

    one: int
    other: int
    overlap: Overlap


@dataclass(frozen=True)
class LinkSearch:
    """Links, the strongest first; and what was left out.

    `records_left` were not looked at, since too many lie around them or the time was up;
    `candidates_left` pairs of accounts that looked alike were not compared.
    """

    links: tuple[Link, ...]
    records_left: int
    candidates_left: int


@dataclass(frozen=True, eq=False)
class _ClassPool:
    """All records of one class: an index of them, and whose each is."""

    records: NDArray[np.float32]
    owners: Places
    index: CellIndex
    crowd: Places
    """How many records lie in the cells around each."""


@dataclass(frozen=True)
class _Block:
    """Accounts `first` to `last`, whose records in crowds up to `cutoff` are looked at."""

    first: int
    last: int
    cutoff: int

    def rows(self, pool: _ClassPool) -> Places:
        """Their records in a class."""
        begin, end = np.searchsorted(pool.owners, [self.first, self.last]).tolist()
        rows: Places = begin + np.flatnonzero(pool.crowd[begin:end] <= self.cutoff)
        return rows


class _Shared(NamedTuple):
    """What a block's accounts share with others in one class.

    By pair, as one number: records that are `covered`, and what the other account `own`s of
    their surroundings. By account of the block: sums of pi and of its square.
    """

    pairs: Places
    covered: FloatArray
    own: FloatArray
    shares: FloatArray
    squares: FloatArray


class _Candidates(NamedTuple):
    """Pairs of accounts, `ones` (N,) with fewer records than `others` (N,), and their surprise."""

    ones: Places
    others: Places
    surprises: FloatArray


_NO_PAIRS = _Candidates(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


def find_links(
    geometry: Geometry,
    ledgers: Sequence[Ledger],
    *,
    most_neighbors: int = MOST_NEIGHBORS,
    most_candidates: int = MOST_CANDIDATES,
    looks_on: Callable[[], bool] = lambda: True,
    compares_on: Callable[[], bool] = lambda: True,
) -> LinkSearch:
    """Every pair whose overlap `is_likely`, against the population of all but the two.

    Complete unless work was left out, which the result says. `looks_on` while it looks for
    candidates, `compares_on` while it compares them, is asked between pieces of some
    milliseconds, and ends that part by False.
    """
    search = _Search(geometry, ledgers)
    found, records_left = search.candidates(search.cutoff(most_neighbors), looks_on)
    order = np.argsort(-found.surprises, kind="stable")[:most_candidates]
    links, compared = search.links(found.ones[order], found.others[order], compares_on)
    links.sort(key=lambda link: (-link.overlap.score, link.one, link.other))
    return LinkSearch(tuple(links), records_left, len(found.ones) - compared)


class _Search:
    def __init__(self, geometry: Geometry, ledgers: Sequence[Ledger]) -> None:
        self._accounts = len(ledgers)
        self._pairs = len(ledgers) * (len(ledgers) - 1) // 2
        labels = sorted({label for ledger in ledgers for label in ledger})
        counts = np.array(
            [[len(ledger.get(label, ())) for label in labels] for ledger in ledgers], np.int64
        ).reshape(len(ledgers), len(labels))
        self._rank = np.empty(len(ledgers), np.int64)
        self._rank[np.argsort(counts.sum(axis=1), kind="stable")] = np.arange(len(ledgers))
        # Without a third account there is no population, and nothing to say.
        places = np.flatnonzero((counts > 0).sum(axis=0) >= 3)
        self._counts = counts[:, places]
        """K of every account and class, (A, C)."""
        self._pools = [
            _class_pool(geometry, ledgers, labels[place], counts[:, place])
            for place in places.tolist()
        ]

    def cutoff(self, most_neighbors: int) -> int:
        """The largest crowd around a record that is still looked at."""
        if not self._pools:
            return 0
        crowds = np.sort(np.concatenate([pool.crowd for pool in self._pools]))
        fits = int(np.searchsorted(np.cumsum(crowds), most_neighbors, side="right"))
        if fits == len(crowds):
            return int(crowds[-1])
        # Crowds of one size are looked at together or not at all.
        return int(crowds[fits]) - 1

    def candidates(self, cutoff: int, looks_on: Callable[[], bool]) -> tuple[_Candidates, int]:
        """Pairs whose overlap may be likely, and how many records were not looked at."""
        left = sum(len(pool.records) for pool in self._pools)
        found = [_NO_PAIRS]
        for first, last in self._blocks(cutoff):
            block = _Block(first, last, cutoff)
            pairs = self._look_at(block, looks_on)
            if pairs is None:
                break
            found.append(pairs)
            left -= sum(len(block.rows(pool)) for pool in self._pools)
        return _Candidates(*map(np.concatenate, zip(*found, strict=True))), left

    def _blocks(self, cutoff: int) -> Iterator[tuple[int, int]]:
        """Ranges of accounts that are looked at together."""
        work = np.zeros(self._accounts)
        for pool in self._pools:
            looked = np.where(pool.crowd <= cutoff, pool.crowd, 0)
            work += np.bincount(pool.owners, looked, minlength=self._accounts)
        numbers = (np.cumsum(work) - work) // _BLOCK
        starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), self._accounts]
        return pairwise(starts)

    def _look_at(self, block: _Block, looks_on: Callable[[], bool]) -> _Candidates | None:
        """Candidates of a block's accounts, judged by the records that are looked at.

        Chance explains at least what Bonferroni's inequality leaves, 1 - (1 - pi)^K >=
        K pi - K (K - 1) / 2 pi^2. Summed over the records it needs no pass over them for each
        pair, and no pair that is likely gets lost. None if it is to end.
        """
        found = []
        for place, pool in enumerate(self._pools):
            shared = self._shared(block, place, pool, looks_on)
            if shared is None:
                return None
            found.append(shared)
        if not found:
            return _NO_PAIRS
        pairs, inverse = np.unique(
            np.concatenate([each.pairs for each in found]), return_inverse=True
        )
        covered = np.bincount(inverse, np.concatenate([each.covered for each in found]), len(pairs))
        own = np.bincount(inverse, np.concatenate([each.own for each in found]), len(pairs))
        is_shared = covered >= LEAST_SHARED
        ones, others = np.divmod(pairs[is_shared], self._accounts)
        expected = -own[is_shared].astype(np.float64)
        for place, each in enumerate(found):
            counts = self._counts[others, place].astype(np.float64)
            expected += counts * each.shares[ones - block.first]
            expected -= counts * (counts - 1) / 2 * each.squares[ones - block.first]
        # Where the inequality says nothing; every expectation is above 0.
        least = np.maximum(expected, 1e-9)
        surprises = np.array(
            list(map(surprise, covered[is_shared].tolist(), least.tolist())), np.float64
        )
        kept = surprises >= least_surprise(self._pairs)
        return _Candidates(ones[kept], others[kept], surprises[kept])

    def _shared(
        self, block: _Block, place: int, pool: _ClassPool, looks_on: Callable[[], bool]
    ) -> _Shared | None:
        rows = block.rows(pool)
        neighbors = np.zeros(len(rows), np.float64)
        pieces: list[Places] = [np.zeros(0, np.int64)]
        for found, points in pool.index.near(pool.records[rows]):
            one, other = pool.owners[rows[found]], pool.owners[points]
            neighbors += np.bincount(found[one != other], minlength=len(rows))
            is_fewer = self._rank[one] < self._rank[other]
            pieces.append(found[is_fewer] * self._accounts + other[is_fewer])
            if not looks_on():
                return None
        pi = (neighbors + 0.5) / (len(pool.records) + 1.0)
        owners = pool.owners[rows] - block.first
        width = block.last - block.first
        # A record may have several neighbors of one account, and is covered once.
        covers, times = np.unique(np.concatenate(pieces), return_counts=True)
        found, other = np.divmod(covers, self._accounts)
        own = times * self._counts[other, place] / (len(pool.records) + 1.0)
        pairs, inverse = np.unique(
            pool.owners[rows[found]] * self._accounts + other, return_inverse=True
        )
        return _Shared(
            pairs,
            np.bincount(inverse, minlength=len(pairs)).astype(np.float64),
            np.bincount(inverse, own, len(pairs)).astype(np.float64),
            np.bincount(owners, pi, width).astype(np.float64),
            np.bincount(owners, np.square(pi), width).astype(np.float64),
        )

    def links(
        self, ones: Places, others: Places, compares_on: Callable[[], bool]
    ) -> tuple[list[Link], int]:
        """Those of the candidates that are likely, and how many were compared."""
        partners: dict[int, list[int]] = {}
        for one, other in zip(ones.tolist(), others.tolist(), strict=True):
            partners.setdefault(one, []).append(other)
        links: list[Link] = []
        compared = 0
        for one, theirs in partners.items():
            if not compares_on():
                break
            overlaps = self._overlaps(one, np.array(theirs))
            links += [
                Link(one, other, overlap)
                for other, overlap in zip(theirs, overlaps, strict=True)
                if overlap.is_likely(self._pairs)
            ]
            compared += len(theirs)
        return links, compared

    def _overlaps(self, one: int, others: Places) -> list[Overlap]:
        """What `linkage.overlap` gives for one account and each of the others."""
        totals = [Overlap(0, 0.0, 0.0)] * len(others)
        for place, pool in enumerate(self._pools):
            first, last = np.searchsorted(pool.owners, [one, one + 1]).tolist()
            if first == last:
                continue
            near = list(pool.index.near(pool.records[first:last]))
            rows = np.concatenate([rows for rows, _ in near])
            owners = pool.owners[np.concatenate([points for _, points in near])]
            rows, owners = rows[owners != one], owners[owners != one]
            neighbors = np.bincount(rows, minlength=last - first)
            order = np.argsort(owners, kind="stable")
            rows, owners = rows[order], owners[order]
            bounds = np.searchsorted(owners, np.stack([others, others + 1])).T.tolist()
            for number, (begin, end) in enumerate(bounds):
                theirs = np.bincount(rows[begin:end], minlength=last - first)
                count = int(self._counts[others[number], place])
                crowd = len(pool.records) - (last - first) - count
                counts = (neighbors - theirs).astype(np.float64)
                covered = int((theirs > 0).sum())
                totals[number] += chance_overlap(covered, counts, crowd, count)
        return totals


def _class_pool(
    geometry: Geometry, ledgers: Sequence[Ledger], label: int, counts: Places
) -> _ClassPool:
    records = np.concatenate([ledger[label] for ledger in ledgers if label in ledger])
    index = CellIndex(records, float(geometry.coverage_radius[label]))
    owners = np.repeat(np.arange(len(ledgers)), counts)
    return _ClassPool(records, owners, index, index.crowd(records))
