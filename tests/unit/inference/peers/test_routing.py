"""A micro-batch over several replicas: who is asked what, and what becomes of a failure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from queen_inference.metrics import InferenceMetrics
from queen_inference.peers.endpoints import read_target
from queen_inference.peers.peer import Peer
from queen_inference.peers.rendezvous import weight
from queen_inference.peers.replicas import Replica, Replicas
from queen_inference.peers.routing import RoutedClient
from queen_inference.peers.sensitivity import (
    NO_VERDICT,
    SENSITIVITY,
    Assessed,
    SensitivityClient,
    Share,
)

from queen.api.v1 import sensitivity_pb2
from queen.errors import DependencyUnavailable, PeerOverloaded, PeerUnavailable
from queen.failures import Failure
from queen.method.contracts import Profile
from queen.serving.auth import Account
from queen.serving.lasting.tasks import Lasting
from tests.unit.inference.conftest import Counted

FAILOVERS = "queen_sensitivity_failovers_total"
ENDPOINTS = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
ACCOUNTS = [Account(f"account-{number}", Profile.PAPER, "hash") for number in range(30)]


class EchoingPeer(Peer):
    """A peer that answers each row with its label as the sqs, or fails as it is told."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint, SENSITIVITY, 1 << 20)
        self.is_up = True
        self.requests: list[Any] = []
        self.failure: DependencyUnavailable | None = None
        self.failures: dict[int, Failure] = {}
        """Failures of rows, by their labels."""

    async def call(self, _method: Any, request: Any, _timeout_seconds: float) -> Any:
        """Remember the request, and echo or fail."""
        self.requests.append(request)
        if self.failure is not None:
            self.is_up = not isinstance(self.failure, PeerUnavailable)
            raise self.failure
        labels = np.frombuffer(request.labels, "<i4")
        failures = np.array([self.failures.get(label, 0) for label in labels.tolist()], "u1")
        return sensitivity_pb2.AssessResponse(
            verdicts=(failures == 0).tobytes(),
            causes=bytes(len(labels)),
            sqs=np.where(failures, 0, labels).astype("<f4").tobytes(),
            secrets=bytes(4 * len(labels)),
            failures=failures.tobytes(),
        )

    async def probe(self, timeout_seconds: float) -> bool:  # noqa: ARG002 - nothing is asked
        """Whether it is up."""
        return self.is_up

    @property
    def names(self) -> set[str]:
        """Accounts that it was asked about."""
        return {one.account_id for request in self.requests for one in request.accounts}


class Routed:
    """A routed client over echoing peers."""

    def __init__(self, client: RoutedClient, peers: dict[str, EchoingPeer]) -> None:
        self.client, self.peers = client, peers

    async def ask(self, accounts: list[Account], rows: int = 120) -> Assessed:
        """Rows dealt out to the accounts in turn, numbered by their labels."""
        all_rows = np.arange(rows)
        embeddings = np.arange(2 * rows, dtype=np.float32).reshape(rows, 2)
        share = Share(all_rows, accounts, all_rows % len(accounts), all_rows, embeddings)
        return await self.client.assess(share, 1.0)

    def home(self, account: Account) -> str:
        """The endpoint where an account belongs."""
        return max(self.peers, key=lambda endpoint: weight(endpoint, account.owner))


@asynccontextmanager
async def routed(metrics: InferenceMetrics, endpoints: list[str]) -> AsyncIterator[Routed]:
    """Replicas at the endpoints, all up."""
    peers = {}

    def open_replica(endpoint: str, _retries: bool) -> Replica:
        peers[endpoint] = EchoingPeer(endpoint)
        return Replica(peers[endpoint], SensitivityClient(peers[endpoint], "digest"))

    replicas = Replicas(SENSITIVITY, read_target(",".join(endpoints)), open_replica, 1.0, Lasting())
    await replicas.start()
    yield Routed(RoutedClient(replicas, metrics.failovers), peers)
    await replicas.close()


async def test_each_account_goes_home_and_rows_come_back_in_order(
    metrics: InferenceMetrics,
) -> None:
    """One call an endpoint, with its own accounts only and their rows in order."""
    async with routed(metrics, ENDPOINTS) as to:
        assessed = await to.ask(ACCOUNTS)
        assert assessed.sqs.tolist() == list(range(120))
        assert assessed.problem is None
        for endpoint, peer in to.peers.items():
            (request,) = peer.requests
            mine = [one for one in ACCOUNTS if to.home(one) == endpoint]
            assert [one.account_id for one in request.accounts] == [one.account_id for one in mine]
            labels = np.frombuffer(request.labels, "<i4")
            assert (np.diff(labels) > 0).all()
            numbers = np.frombuffer(request.account_index, "<u4")
            named = [mine[number].account_id for number in numbers]
            assert named == [f"account-{label % 30}" for label in labels]
            embeddings = np.frombuffer(request.embeddings, "<f4").reshape(-1, 2)
            np.testing.assert_array_equal(embeddings[:, 0], 2 * labels)


async def test_a_group_stays_together(metrics: InferenceMetrics) -> None:
    """Accounts of one group are asked about in one place, wherever each alone would go."""
    grouped = [Account(f"account-{number}", Profile.PAPER, "hash", "acme") for number in range(30)]
    async with routed(metrics, ENDPOINTS) as to:
        await to.ask(grouped)
        asked = [endpoint for endpoint, peer in to.peers.items() if peer.requests]
        assert asked == [to.home(grouped[0])]


async def test_one_endpoint_gets_everything_as_it_came(metrics: InferenceMetrics) -> None:
    """Nothing is split where there is one, and its failure is the batch's."""
    async with routed(metrics, ENDPOINTS[:1]) as to:
        await to.ask(ACCOUNTS)
        (peer,) = to.peers.values()
        assert len(peer.requests) == 1
        peer.failure = PeerUnavailable("gone")
        with pytest.raises(PeerUnavailable, match="gone"):
            await to.ask(ACCOUNTS)


async def test_what_an_absent_endpoint_had_goes_to_the_next(
    metrics: InferenceMetrics, counted: Counted
) -> None:
    """UNAVAILABLE costs no row its verdict; the others' accounts stay where they are."""
    async with routed(metrics, ENDPOINTS) as to:
        lost = to.peers[ENDPOINTS[0]]
        lost.failure = PeerUnavailable("gone")
        assessed = await to.ask(ACCOUNTS)
        assert assessed.problem is None
        assert assessed.sqs.tolist() == list(range(120))
        assert counted(FAILOVERS) > 0
        first = {one: peer.names for one, peer in to.peers.items() if peer is not lost}
        again = await to.ask(ACCOUNTS)
        assert again.problem is None
        assert len(lost.requests) == 1
        assert {one: to.peers[one].names for one in first} == first
        lost.is_up, lost.failure = True, None
        await to.ask(ACCOUNTS)
        assert lost.names == {one.account_id for one in ACCOUNTS if to.home(one) == ENDPOINTS[0]}
        assert len(lost.requests) == 2


async def test_another_failure_is_not_repeated_and_hits_its_rows_alone(
    metrics: InferenceMetrics,
    counted: Counted,
) -> None:
    """A replica that answers late or refuses: its accounts have no verdict, the others have."""
    async with routed(metrics, ENDPOINTS) as to:
        to.peers[ENDPOINTS[1]].failure = DependencyUnavailable("DEADLINE_EXCEEDED")
        assessed = await to.ask(ACCOUNTS)
        assert str(assessed.problem) == "DEADLINE_EXCEEDED"
        lost = np.array([to.home(ACCOUNTS[row % 30]) == ENDPOINTS[1] for row in range(120)])
        assert 0 < lost.sum() < 120
        np.testing.assert_array_equal(assessed.verdicts == NO_VERDICT, lost)
        np.testing.assert_array_equal(assessed.sqs, np.where(lost, 0, np.arange(120)))
        assert counted(FAILOVERS) == 0


async def test_an_overload_counts_before_another_failure(
    metrics: InferenceMetrics, counted: Counted
) -> None:
    """It is what all rows without a verdict are told, and no other replica is filled with it."""
    async with routed(metrics, ENDPOINTS) as to:
        to.peers[ENDPOINTS[0]].failure = DependencyUnavailable("DEADLINE_EXCEEDED")
        to.peers[ENDPOINTS[1]].failure = PeerOverloaded("full")
        assessed = await to.ask(ACCOUNTS)
        assert isinstance(assessed.problem, PeerOverloaded)
        assert counted(FAILOVERS) == 0


async def test_a_row_is_sent_to_two_endpoints_at_most(metrics: InferenceMetrics) -> None:
    """What ends every replica that it meets does not meet them all."""
    async with routed(metrics, ENDPOINTS) as to:
        for peer in to.peers.values():
            peer.failure = PeerUnavailable("gone")
        with pytest.raises(PeerUnavailable, match="gone"):
            await to.ask(ACCOUNTS[:1])
        assert sum(len(peer.requests) for peer in to.peers.values()) == 2


async def test_no_endpoint_is_asked_while_none_serves(metrics: InferenceMetrics) -> None:
    """The failure is told at once."""
    async with routed(metrics, ENDPOINTS) as to:
        for peer in to.peers.values():
            peer.is_up = False
        with pytest.raises(PeerUnavailable, match="is not serving"):
            await to.ask(ACCOUNTS)
        assert not any(peer.requests for peer in to.peers.values())


async def test_a_replica_that_cannot_reach_the_store_leaves_its_accounts_to_another(
    metrics: InferenceMetrics, counted: Counted
) -> None:
    """Only the accounts that failed are asked about again; full and damaged ledgers stay so."""
    async with routed(metrics, ENDPOINTS) as to:
        away = next(row for row in range(60) if to.home(ACCOUNTS[row % 30]) == ENDPOINTS[1])
        others = [row for row in range(60, 120) if row % 30 != away % 30]
        cut_off = to.peers[ENDPOINTS[1]]
        cut_off.failures = {away: Failure.STORE_AWAY}
        for peer in to.peers.values():
            peer.failures |= {others[0]: Failure.LEDGER_FULL, others[1]: Failure.LEDGER_DAMAGED}
        assessed = await to.ask(ACCOUNTS)
        assert assessed.problem is None
        assert assessed.verdicts[away] == 1
        assert np.flatnonzero(assessed.failures).tolist() == others[:2]
        assert (assessed.verdicts == NO_VERDICT).sum() == 2
        requests = [request for peer in to.peers.values() for request in peer.requests]
        again = min(requests, key=lambda request: len(request.accounts))
        assert [one.account_id for one in again.accounts] == [ACCOUNTS[away % 30].account_id]
        assert counted(FAILOVERS) == 1


async def test_a_row_that_no_replica_can_decide_says_so(metrics: InferenceMetrics) -> None:
    """Beside rows that have verdicts, and without more calls than two."""
    async with routed(metrics, ENDPOINTS) as to:
        for peer in to.peers.values():
            peer.failures = {7: Failure.STORE_AWAY}
        assessed = await to.ask(ACCOUNTS)
        assert np.flatnonzero(assessed.verdicts == NO_VERDICT).tolist() == [7]
        assert "does not answer" in str(assessed.problem)
        assert sum(len(peer.requests) for peer in to.peers.values()) == 4
