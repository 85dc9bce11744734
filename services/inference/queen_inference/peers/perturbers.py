"""All perturbers of a deployment: asked in turn, and only while they agree on a secret.

A secret counts only while every perturber that serves holds it, so that an answer does not depend
on which of them is asked. While a rotation reaches them one after the other, they agree on the old
secret first and on both in the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from time import monotonic

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Gauge

from queen.errors import PeerUnavailable
from queen.serving.logging import logger
from queen_inference.peers.perturber import PERTURBER, FlaggedRows, PerturberClient
from queen_inference.peers.replicas import Replica, Replicas
from queen_inference.protectee import SingleArray

MOST_CALLS = 2
"""Most calls for the same rows: a query that makes a perturber crash must not crash all."""
_PROBE_SECONDS = 0.25
_MEND = "give all perturbers the same secret files"


class Agreement:
    """The secrets that are held by all, by their fingerprints, and why there are none.

    The gauge `mixed` is 1 while perturbers serve that do not agree, and `held` counts the
    current secret, and those that retire. One address with two perturbers behind it
    tells one secret, then another, and then the first again: a secret that gave way to another
    without a time in which both were held is therefore not taken back.
    """

    def __init__(self, mixed: Gauge, held: Mapping[str, Gauge]) -> None:
        self.secrets: tuple[int, ...] = ()
        """Fingerprints that every perturber holds, the current one first."""
        self.problem = ""
        self._mixed = mixed
        self._held = held
        self._last: tuple[int, ...] = ()
        self._gone: set[int] = set()
        self._log = logger("secrets")

    def hear(self, told: Mapping[str, Sequence[int]]) -> tuple[int, ...]:
        """The secrets on which the perturbers that serve agree, from what each endpoint tells."""
        common = _common([told[at] for at in sorted(told)])
        problem = self._problem_of(told, common)
        if problem != self.problem:
            self.problem = problem
            if problem:
                self._log.error("perturbers are refused", problem=problem)
        self._mixed.set(bool(problem))
        self.secrets = () if problem else common
        self._held["current"].set(len(self.secrets[:1]))
        self._held["retiring"].set(len(self.secrets[1:]))
        if self.secrets:
            self._follow(self.secrets)
        return self.secrets

    def _problem_of(self, told: Mapping[str, Sequence[int]], common: Sequence[int]) -> str:
        if told and not common:
            words = (f"{at} holds {_words(told[at])}" for at in sorted(told))
            return f"no secret that all perturbers hold: {'; '.join(words)}; {_MEND}"
        if self._gone.issuperset(common) and common and not set(common) & set(self._last):
            return (
                f"secret {_words(common)} came back after {_words(self._last)}: two perturbers "
                f"behind one address? {_MEND}; after a wanted change back restart the front door"
            )
        return ""

    def _follow(self, secrets: tuple[int, ...]) -> None:
        if secrets == self._last:
            return
        if self._last and not set(secrets) & set(self._last):
            self._gone.update(self._last)
            self._log.warning(
                "the secret was replaced without a retiring one: answers past the budget change",
                before=list(self._last),
            )
        self._gone.difference_update(secrets)
        self._last = secrets
        self._log.info("secrets in force", current=secrets[0], retiring=list(secrets[1:]))


class Perturbers:
    """The endpoints of the perturber service, of which any gives the same answer.

    A mixed set serves nobody: it counts as a peer that is gone, and the failure mode answers.
    """

    service = PERTURBER

    def __init__(self, replicas: Replicas[PerturberClient], agreement: Agreement) -> None:
        self._replicas = replicas
        self._agreement = agreement
        self._turns = count()

    @property
    def is_up(self) -> bool:
        """Whether a perturber serves, and all that serve agree on a secret."""
        return bool(self.secrets())

    @property
    def problem(self) -> str:
        """Words for what the last probes met."""
        return self._agreement.problem or self._replicas.problem

    def secrets(self) -> Sequence[int]:
        """Fingerprints that every perturber holds that serves, the current one first."""
        up = self._replicas.up
        return self._agreement.hear({at: _told(replica) for at, replica in up.items()})

    async def probe(self, timeout_seconds: float) -> bool:
        """Probe all perturbers at once; whether they can be asked."""
        await self._replicas.probe(timeout_seconds)
        return self.is_up

    async def close(self) -> None:
        """Close the channels to all of them."""
        await self._replicas.close()

    async def reverse(self, flagged: FlaggedRows, timeout_seconds: float) -> SingleArray:
        """Answers (F, C) to flagged queries; DependencyUnavailable if they do not come in time.

        A row whose secret has retired is answered under the current one: its owner is given that
        one with its next verdict.
        """
        expires = monotonic() + timeout_seconds
        for last in (*(False,) * (MOST_CALLS - 1), True):
            secrets = self.secrets()
            if not secrets:
                raise PeerUnavailable(f"{PERTURBER}: {self.problem}")
            up = list(self._replicas.up.values())
            replica = up[next(self._turns) % len(up)]
            asked = replace(flagged, secrets=_in_force(flagged.secrets, secrets))
            try:
                return await replica.client.reverse(asked, expires - monotonic())
            except PeerUnavailable:
                if last:
                    raise
                # Its secrets may have changed since the last probe.
                await self._replicas.probe(min(_PROBE_SECONDS, (expires - monotonic()) / 2))
        raise AssertionError("the last call returns or raises")


def _told(replica: Replica[PerturberClient]) -> Sequence[int]:
    inquiry = replica.peer.inquiry
    return () if inquiry is None else inquiry.secrets


def _in_force(wanted: NDArray[np.uint32], secrets: Sequence[int]) -> NDArray[np.uint32]:
    """The wanted secrets (F,), the current one in place of those that are not in force."""
    return np.where(np.isin(wanted, secrets), wanted, np.uint32(secrets[0]))


def _common(told: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """The fingerprints that are in all lists, in the order of the first."""
    if not told:
        return ()
    first, *others = told
    return tuple(name for name in first if all(name in other for other in others))


def _words(secrets: Sequence[int]) -> str:
    return " and ".join(map(str, secrets)) or "none"
