"""Verdicts from several replicas: the accounts of an owner always go to the same one.

What a replica remembers of an owner then stays true, and it meets no conflict in the store.
That is all: each replica gives the same verdicts, so an owner may go to any of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from time import monotonic

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter

from queen.errors import DependencyUnavailable, PeerOverloaded, PeerUnavailable
from queen.serving.auth import Account
from queen_inference.peers.clients import Assessed, SingleArray
from queen_inference.peers.peer import SENSITIVITY
from queen_inference.peers.rendezvous import owner_of
from queen_inference.peers.replicas import Replica, Replicas

MOST_ENDPOINTS = 2
"""A row is sent to no more: what ended one replica must not end them all."""
RowIndex = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Share:
    """Some rows (R,) of a micro-batch, ascending, with what is asked about them."""

    rows: RowIndex
    accounts: Sequence[Account]
    account_index: NDArray[np.uint32]
    labels: NDArray[np.int64]
    embeddings: SingleArray

    def of_accounts(self, numbers: RowIndex) -> Share:
        """The rows of some of the accounts."""
        if len(numbers) == len(self.accounts):
            return self
        places = np.full(len(self.accounts), -1, np.int64)
        places[numbers] = np.arange(len(numbers))
        index = places[self.account_index]
        chosen = np.flatnonzero(index >= 0)
        return Share(
            self.rows[chosen],
            [self.accounts[number] for number in numbers.tolist()],
            index[chosen].astype(np.uint32),
            self.labels[chosen],
            self.embeddings[chosen],
        )


Part = tuple[RowIndex, Assessed | DependencyUnavailable]
"""Rows, and their verdicts or why there are none."""


class RoutedClient:
    """Assess, over the replicas; `failovers` counts the shares that a second one was asked."""

    def __init__(self, replicas: Replicas, failovers: Counter) -> None:
        self._replicas = replicas
        self._failovers = failovers

    async def assess(
        self,
        accounts: Sequence[Account],
        account_index: NDArray[np.uint32],
        labels: NDArray[np.int64],
        embeddings: SingleArray,
        timeout_seconds: float,
    ) -> Assessed:
        """Verdicts on B queries; DependencyUnavailable if there are none at all in time."""
        if len(self._replicas.members) == 1:
            (only,) = self._replicas.members.values()
            return await only.client.assess(
                accounts, account_index, labels, embeddings, timeout_seconds
            )
        rows = np.arange(len(labels))
        share = Share(rows, accounts, account_index, labels, embeddings)
        return _joined(await self._ask(share, monotonic() + timeout_seconds), len(rows))

    async def _ask(self, share: Share, expires: float, tried: Sequence[str] = ()) -> list[Part]:
        """Ask about each owner's rows where they belong, at all endpoints at once."""
        homes = {at: one for at, one in self._replicas.up.items() if at not in tried}
        if not homes:
            return [(share.rows, PeerUnavailable(f"{SENSITIVITY} is not serving"))]
        if tried:
            self._failovers.inc()
        shares = self._shares(share, homes)
        parts = await asyncio.gather(
            *(self._ask_one(one, at, homes[at], expires, tried) for at, one in shares)
        )
        return [part for each in parts for part in each]

    async def _ask_one(
        self, share: Share, endpoint: str, replica: Replica, expires: float, tried: Sequence[str]
    ) -> list[Part]:
        try:
            assessed = await replica.client.assess(
                share.accounts,
                share.account_index,
                share.labels,
                share.embeddings,
                expires - monotonic(),
            )
        except PeerUnavailable as error:
            # It is safe to ask again: a query that is repeated costs its account nothing.
            if len(tried) + 1 == MOST_ENDPOINTS:
                return [(share.rows, error)]
            return await self._ask(share, expires, (*tried, endpoint))
        except DependencyUnavailable as error:
            return [(share.rows, error)]
        return [(share.rows, assessed)]

    def _shares(self, share: Share, homes: dict[str, Replica]) -> Iterator[tuple[str, Share]]:
        """Each endpoint that owners of the share belong to, with its part of it."""
        choose = self._replicas.rendezvous.choose
        places = {at: number for number, at in enumerate(homes)}
        numbers = np.array([places[choose(owner_of(one), homes)] for one in share.accounts])
        for at, number in places.items():
            accounts = np.flatnonzero(numbers == number)
            if len(accounts):
                yield at, share.of_accounts(accounts)


def _joined(parts: Sequence[Part], rows: int) -> Assessed:
    """The parts in the order of the rows; what was wrong if none has a verdict.

    Of several problems an overload counts, since it is answered most carefully.
    """
    problems = [what for _, what in parts if isinstance(what, DependencyUnavailable)]
    problems.sort(key=lambda problem: not isinstance(problem, PeerOverloaded))
    problem = problems[0] if problems else None
    known = [(where, what) for where, what in parts if isinstance(what, Assessed)]
    if not known:
        raise problem or DependencyUnavailable(f"{SENSITIVITY} was asked nothing")
    first = known[0][1]
    if len(known) == len(parts) == 1:
        return first
    arrays = {}
    for name in (field.name for field in fields(Assessed) if field.name != "problem"):
        arrays[name] = np.zeros(rows, getattr(first, name).dtype)
        for where, what in known:
            arrays[name][where] = getattr(what, name)
    return Assessed(**arrays, problem=problem)
