"""Verdicts from several replicas: the accounts of an owner always go to the same replica.

Each replica then remembers its own owners only, and meets no conflict in the store. Any replica may
be asked, but one whose memory is behind the store may be too mild.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from time import monotonic

import numpy as np
from prometheus_client import Counter

from queen.errors import DependencyUnavailable, PeerOverloaded, PeerUnavailable
from queen.failures import Failure
from queen_inference.peers.replicas import Replica, Replicas
from queen_inference.peers.sensitivity import (
    SENSITIVITY,
    Assessed,
    SensitivityClient,
    Share,
)

MOST_ENDPOINTS = 2
"""Most endpoints that a row is sent to: a query that makes an endpoint crash must not crash all."""
Homes = Mapping[str, Replica[SensitivityClient]]
Reply = tuple[Share, Assessed]
"""A share, with the verdicts on it or the problem that left it without verdicts."""


class RoutedClient:
    """Asks every replica of the sensitivity service about the owners that belong to it.

    A share whose replica is gone goes to a second replica; `failovers` counts these.
    """

    def __init__(self, replicas: Replicas[SensitivityClient], failovers: Counter) -> None:
        self._replicas = replicas
        self._failovers = failovers

    async def assess(self, share: Share, timeout_seconds: float) -> Assessed:
        """Verdicts on a share; DependencyUnavailable if none of them comes in time."""
        if len(self._replicas.members) == 1:
            (only,) = self._replicas.members.values()
            return await only.client.assess(share, timeout_seconds)
        replies = await self._ask(share, monotonic() + timeout_seconds)
        return _joined(replies, len(share))

    async def _ask(self, share: Share, expires: float, tried: Sequence[str] = ()) -> list[Reply]:
        """Ask about each owner's rows where they belong, at all endpoints at once."""
        homes = {at: home for at, home in self._replicas.up.items() if at not in tried}
        if not homes:
            return [_unanswered(share, PeerUnavailable(f"{SENSITIVITY} is not serving"))]
        if tried:
            self._failovers.inc()
        replies = await asyncio.gather(
            *(
                self._ask_replica(homes[at].client, part, expires, (*tried, at))
                for at, part in self._parts(share, homes)
            )
        )
        return [reply for part in replies for reply in part]

    async def _ask_replica(
        self, client: SensitivityClient, share: Share, expires: float, tried: Sequence[str]
    ) -> list[Reply]:
        """Ask the replica at the last endpoint of `tried`; if it is gone, ask another replica."""
        try:
            assessed = await client.assess(share, expires - monotonic())
        except PeerUnavailable as error:
            # It is safe to ask again: a query that is repeated costs its account nothing.
            if len(tried) == MOST_ENDPOINTS:
                return [_unanswered(share, error)]
            return await self._ask(share, expires, tried)
        except DependencyUnavailable as error:
            return [_unanswered(share, error)]
        is_away = assessed.failures == Failure.STORE_AWAY
        if not is_away.any() or len(tried) == MOST_ENDPOINTS:
            return [(share, assessed)]
        # Another replica may reach the store. Its answers come last, since the last one counts.
        rest = share.of_accounts(np.unique(share.account_index[is_away]))
        again = await self._ask(rest, expires, tried)
        told = [reply for reply in again if reply[1].problem is None]
        if len(told) == len(again):
            assessed = replace(assessed, problem=None)
        return [(share, assessed), *told]

    def _parts(self, share: Share, homes: Homes) -> Iterator[tuple[str, Share]]:
        """The endpoints that owners of the share belong to, each with its part of the share."""
        choose = self._replicas.rendezvous.choose
        index = {at: position for position, at in enumerate(homes)}
        home = np.array([index[choose(account.owner, homes)] for account in share.accounts])
        for at, position in index.items():
            accounts = np.flatnonzero(home == position)
            if len(accounts):
                yield at, share.of_accounts(accounts)


def _unanswered(share: Share, problem: DependencyUnavailable) -> Reply:
    return share, Assessed.without_verdicts(len(share), problem)


def _joined(replies: Sequence[Reply], count: int) -> Assessed:
    """The verdicts in the order of the rows, of which there are `count`.

    Without any verdict the problem is raised. Of several problems an overload is chosen, since it
    is answered most carefully.
    """
    if len(replies) == 1 and replies[0][1].verdicts.any():
        return replies[0][1]
    problems = [assessed.problem for _, assessed in replies if assessed.problem is not None]
    problems.sort(key=lambda problem: not isinstance(problem, PeerOverloaded))
    whole = Assessed.without_verdicts(count, problems[0] if problems else None)
    for share, assessed in replies:
        for array, values in zip(whole.arrays(), assessed.arrays(), strict=True):
            array[share.rows] = values
    if problems and not (whole.verdicts.any() or whole.failures.any()):
        raise problems[0]
    return whole
