"""The clean answers that a thief gets under a crossing policy, for thieves who aim at its limits.

A thief is meant here who learns from clean answers alone: those before each of its accounts is over
its budget. The thieves know the protectee's labels of their images before they ask, and stop
just before a crossing, which flatters them. Shapes: C classes, N images of the thief's stream.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queen.method.walk.ledger_walk import LedgerWalk
from queen.redteam.frontier.policies import Contender

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Stream:
    """The images of a thief in their order, as a walk knows them, and a number of queries.

    `ranking` (C,) names the classes, those first whose images the thief wants most.
    """

    walk: LedgerWalk
    queries: int
    ranking: list[int]

    def of_class(self, label: int) -> Rows:
        """The rows of a class, in the order of the stream."""
        return np.flatnonzero(self.walk.samples.labels == label)


def even(stream: Stream, policy: Contender, accounts: int) -> Rows:
    """All accounts ask about all classes, an image each in turn, until they are over."""
    rows = np.arange(min(stream.queries, len(stream.walk.samples.labels)))
    return _until_over(stream, policy, [rows[index::accounts] for index in range(accounts)])


def class_split(stream: Stream, policy: Contender, accounts: int) -> Rows:
    """Every account asks about classes of its own, in rounds, until it is over."""
    if accounts == 1:
        return even(stream, policy, accounts)
    orders = []
    for index in range(accounts):
        own = stream.ranking[index::accounts]
        orders.append(np.flatnonzero(np.isin(stream.walk.samples.labels, own)))
    return _until_over(stream, policy, orders)


def hoarding(stream: Stream, policy: Contender, accounts: int) -> Rows:
    """Every account takes a class less than the breadth up to its cap, and the others uncrossed.

    Accounts hoard different classes, as far as there are enough of them.
    """
    classes, hoarded = len(stream.ranking), policy.breadth - 1
    hoards = [
        {stream.ranking[(index * hoarded + rank) % classes] for rank in range(hoarded)}
        for index in range(accounts)
    ]
    shares = [
        rows
        for label in stream.ranking
        for rows in _shared(stream, policy, label, [label in hoard for hoard in hoards])
    ]
    return np.sort(np.concatenate(shares))[: stream.queries]


def _shared(stream: Stream, policy: Contender, label: int, is_hoarded: list[bool]) -> list[Rows]:
    """The images of a class that each account asks about: hoarders share what the others leave."""
    walk, left = stream.walk, stream.of_class(label)
    threshold, cap = policy.levels[:, label].tolist()
    shares: list[Rows] = []
    for _ in range(is_hoarded.count(False)):
        count = walk.within(left, threshold)
        shares.append(left[:count])
        left = left[count:]
    hoarders = is_hoarded.count(True)
    for index in range(hoarders):
        own = left[index::hoarders]
        shares.append(own[: walk.within(own, cap)])
    return shares


def _until_over(stream: Stream, policy: Contender, orders: list[Rows]) -> Rows:
    """The rows that accounts ask in their orders until they are over, all in turn."""
    clean = []
    for order in orders:
        if len(order):
            over = stream.walk.standings(order[None], policy.levels).over(policy.breadth, cap=1)
            clean.append(order[: min(int(over[0]) + 1, len(order))])
    turns = _turns([len(rows) for rows in clean], stream.queries)
    return np.sort(np.concatenate([rows[:turns] for rows in clean]))


def _turns(lengths: list[int], queries: int) -> int:
    """How often all accounts may ask in turn, with no more than that many queries in all."""
    low, high = 0, max(lengths)
    while low < high:
        middle = math.ceil((low + high) / 2)
        if sum(min(length, middle) for length in lengths) <= queries:
            low = middle
        else:
            high = middle - 1
    return low


THIEVES: dict[str, Callable[[Stream, Contender, int], Rows]] = {
    "even": even,
    "hoarding": hoarding,
    "class split": class_split,
}
