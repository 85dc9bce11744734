"""The pairs of accounts that a link is worth a look at, found without comparing all pairs.

An inverted index: the records of all accounts, by class, in cells as wide as the coverage
radius. Where few accounts have been, having been there together says much, so those cells
are looked at first; the most crowded ones say least and cost most, and are left out where
the work would be too much. Shapes: A accounts, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

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

MOST_NEIGHBORS = 16_000_000
"""Pairs of records that the search looks at: seconds, and 100 MB at the most."""
MOST_CANDIDATES = 10_000
"""Pairs of accounts whose overlap is computed."""


@dataclass(frozen=True)
class Link:
    """Two accounts, as places: `overlap` is of the records of `one`, which has fewer."""

    one: int
    other: int
    overlap: Overlap


@dataclass(frozen=True)
class LinkSearch:
    """Links, the strongest first; and what was left out.

    `crowded_records` were not looked at since too many lie around them, `candidates_left`
    pairs of accounts that looked alike were not compared.
    """

    links: tuple[Link, ...]
    crowded_records: int
    candidates_left: int


@dataclass(frozen=True, eq=False)
class _ClassPool:
    """All records of one class: an index of them, and whose each is."""

    label: int
    records: NDArray[np.float32]
    owners: Places
    index: CellIndex
    crowd: Places
    """How many records lie in the cells around each."""


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Pairs of accounts `ones`, `others` by falling surprise."""

    ones: Places
    others: Places


def find_links(
    geometry: Geometry,
    ledgers: Sequence[Ledger],
    *,
    most_neighbors: int = MOST_NEIGHBORS,
    most_candidates: int = MOST_CANDIDATES,
    proceed: Callable[[], bool] = lambda: True,
) -> LinkSearch:
    """Every pair whose overlap `is_likely`, against the population of all but the two.

    Complete unless work was left out, which the result says. `proceed` is asked between
    pieces of some milliseconds and ends the search by False.
    """
    search = _Search(geometry, ledgers, proceed)
    cutoff = search.cutoff(most_neighbors)
    found = search.candidates(cutoff)
    kept = _Candidates(found.ones[:most_candidates], found.others[:most_candidates])
    links, compared = search.links(kept)
    links.sort(key=lambda link: (-link.overlap.score, link.one, link.other))
    crowded = sum(int((pool.crowd > cutoff).sum()) for pool in search.pools)
    return LinkSearch(tuple(links), crowded, len(found.ones) - compared)


class _Search:
    def __init__(
        self, geometry: Geometry, ledgers: Sequence[Ledger], proceed: Callable[[], bool]
    ) -> None:
        self._proceed = proceed
        self._accounts = len(ledgers)
        self._least_surprise = least_surprise(len(ledgers) * (len(ledgers) - 1) // 2)
        labels = sorted({label for ledger in ledgers for label in ledger})
        self._counts = np.array(
            [[len(ledger.get(label, ())) for label in labels] for ledger in ledgers], np.int64
        ).reshape(len(ledgers), len(labels))
        """K of every account and class, (A, C)."""
        sizes = self._counts.sum(axis=1)
        self._rank = np.empty(len(ledgers), np.int64)
        self._rank[np.argsort(sizes, kind="stable")] = np.arange(len(ledgers))
        self.pools = list(self._pools(geometry, ledgers, labels))
        self._counts = self._counts[:, [labels.index(pool.label) for pool in self.pools]]

    def _pools(
        self, geometry: Geometry, ledgers: Sequence[Ledger], labels: Sequence[int]
    ) -> Iterator[_ClassPool]:
        for place, label in enumerate(labels):
            counts = self._counts[:, place]
            # Without a third account there is no population, and nothing to say.
            if (counts > 0).sum() < 3 or not self._proceed():
                continue
            records = np.concatenate([ledger[label] for ledger in ledgers if label in ledger])
            index = CellIndex(records, float(geometry.coverage_radius[label]))
            owners = np.repeat(np.arange(len(ledgers)), counts)
            yield _ClassPool(label, records, owners, index, index.crowd(records))

    def cutoff(self, most_neighbors: int) -> int:
        """The largest crowd around a record that is still looked at."""
        if not self.pools:
            return 0
        crowds = np.sort(np.concatenate([pool.crowd for pool in self.pools]))
        fits = int(np.searchsorted(np.cumsum(crowds), most_neighbors, side="right"))
        if fits == len(crowds):
            return int(crowds[-1])
        # Crowds of one size are looked at together or not at all.
        return int(crowds[fits]) - 1

    def candidates(self, cutoff: int) -> _Candidates:
        """Pairs whose overlap may be likely, judged by the records that are looked at.

        Of a pair of N records in common, chance explains at least what Bonferroni's inequality
        leaves, 1 - (1 - pi)^K >= K pi - K (K - 1) / 2 pi^2. Summed over the records it needs no
        pass over them for each pair, and no pair that is likely gets lost.
        """
        shares, squares = np.zeros((2, *self._counts.shape))
        found = [
            self._shared(place, pool, cutoff, shares, squares)
            for place, pool in enumerate(self.pools)
        ]
        keys = np.concatenate([keys for keys, _, _ in found] or [np.zeros(0, np.int64)])
        pairs, inverse = np.unique(keys, return_inverse=True)
        if not len(pairs):
            return _Candidates(pairs, pairs)
        covered = np.bincount(inverse, np.concatenate([each for _, each, _ in found]))
        own = np.bincount(inverse, np.concatenate([each for _, _, each in found]))
        is_shared = covered >= LEAST_SHARED
        ones, others = np.divmod(pairs[is_shared], self._accounts)
        expected = -own[is_shared]
        for place in range(len(self.pools)):
            counts = self._counts[others, place].astype(np.float64)
            expected += counts * shares[ones, place]
            expected -= counts * (counts - 1) / 2 * squares[ones, place]
        # Below this nothing is expected; every other bound is above 0.
        least = np.maximum(expected, 1e-9)
        surprises = np.array(list(map(surprise, covered[is_shared].tolist(), least.tolist())))
        order = np.argsort(-surprises, kind="stable")
        order = order[surprises[order] >= self._least_surprise]
        return _Candidates(ones[order], others[order])

    def _shared(
        self, place: int, pool: _ClassPool, cutoff: int, shares: FloatArray, squares: FloatArray
    ) -> tuple[Places, FloatArray, FloatArray]:
        """Pairs of accounts in one class by number, records covered, and what B itself adds.

        Adds to `shares` and `squares` (A, C) the sums of pi and pi^2 over the records of each
        account, all others being the population.
        """
        rows = np.flatnonzero(pool.crowd <= cutoff)
        neighbors = np.zeros(len(rows), np.float64)
        pieces: list[Places] = [np.zeros(0, np.int64)]
        for found, points in pool.index.near(pool.records[rows]):
            one, other = pool.owners[rows[found]], pool.owners[points]
            is_other = one != other
            neighbors += np.bincount(found[is_other], minlength=len(rows))
            is_fewer = self._rank[one] < self._rank[other]
            pieces.append(found[is_fewer] * self._accounts + other[is_fewer])
            if not self._proceed():
                break
        pi = (neighbors + 0.5) / (len(pool.records) + 1.0)
        np.add.at(shares[:, place], pool.owners[rows], pi)
        np.add.at(squares[:, place], pool.owners[rows], np.square(pi))
        # A record may have several neighbors of one account, and is covered once.
        covers, times = np.unique(np.concatenate(pieces), return_counts=True)
        found, other = np.divmod(covers, self._accounts)
        keys = pool.owners[rows[found]] * self._accounts + other
        own = times * self._counts[other, place] / (len(pool.records) + 1.0)
        pairs, inverse = np.unique(keys, return_inverse=True)
        return (
            pairs,
            np.bincount(inverse, minlength=len(pairs)).astype(np.float64),
            np.bincount(inverse, own, minlength=len(pairs)).astype(np.float64),
        )

    def links(self, candidates: _Candidates) -> tuple[list[Link], int]:
        """Those of the candidates that are likely, and how many were compared."""
        partners: dict[int, list[int]] = {}
        for one, other in zip(candidates.ones.tolist(), candidates.others.tolist(), strict=True):
            partners.setdefault(one, []).append(other)
        pairs = self._accounts * (self._accounts - 1) // 2
        links: list[Link] = []
        compared = 0
        for one, others in partners.items():
            if not self._proceed():
                break
            overlaps = self._overlaps(one, np.array(others))
            links += [
                Link(one, other, overlap)
                for other, overlap in zip(others, overlaps, strict=True)
                if overlap.is_likely(pairs)
            ]
            compared += len(others)
        return links, compared

    def _overlaps(self, one: int, others: Places) -> list[Overlap]:
        """What `linkage.overlap` gives for one account and each of the others."""
        totals = [Overlap(0, 0.0, 0.0)] * len(others)
        for place, pool in enumerate(self.pools):
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
