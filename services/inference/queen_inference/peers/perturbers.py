"""All perturbers of a deployment: asked in turn, and only while they agree on a secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from queen.errors import PeerUnavailable
from queen_inference.peers.agreement import Agreement
from queen_inference.peers.perturber import PERTURBER, FlaggedRows, PerturberClient
from queen_inference.peers.replicas import Replica, Replicas
from queen_inference.protectee import SingleArray

MOST_CALLS = 2
"""Most calls for the same rows: a query that makes a perturber crash must not crash all."""
_PROBE_SECONDS = 0.25


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
