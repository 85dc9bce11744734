"""Perturbers that are asked in turn, and only while they agree."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from queen_inference.metrics import InferenceMetrics
from queen_inference.peers.endpoints import read_target
from queen_inference.peers.inquiry import Inquiry
from queen_inference.peers.peer import Peer
from queen_inference.peers.perturber import PERTURBER, FlaggedRows, PerturberClient
from queen_inference.peers.perturbers import Agreement, Perturbers
from queen_inference.peers.replicas import Replica, Replicas

from queen.api.v1 import perturber_pb2, perturber_pb2_grpc
from queen.errors import PeerUnavailable, SecretMismatch
from queen.serving.lasting.tasks import Lasting
from queen.serving.metrics import Metrics
from queen.serving.service_identity import identity_offer
from queen.serving.status import DETAILS_KEY, refuse
from tests.unit.inference.peers.test_perturber import flagged_of

OLD, NEW = 11, 22


class Keyed(perturber_pb2_grpc.PerturberServiceServicer):
    """A perturber that tells its secrets, holds them, and echoes what it may answer."""

    def __init__(self, *held: int) -> None:
        self.held = list(held)
        self.server = grpc.aio.server()
        self.target = ""
        self.asked: list[list[int]] = []

    async def start(self) -> None:
        """Serve on a free port."""
        states = health.aio.HealthServicer()  # type: ignore[attr-defined]
        await states.set(PERTURBER, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(states, self.server)
        perturber_pb2_grpc.add_PerturberServiceServicer_to_server(self, self.server)
        identity_offer("digest", lambda: self.held).add(self.server)
        self.target = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        await self.server.start()

    async def Reverse(self, request: Any, context: Any) -> perturber_pb2.ReverseResponse:  # noqa: N802 - gRPC's name
        """The probabilities themselves, under the secrets that are asked for."""
        secrets = np.frombuffer(request.secrets, "<u4")
        self.asked.append(secrets.tolist())
        if not set(secrets.tolist()) <= {0, *self.held}:
            refusal = refuse(SecretMismatch("another secret"))
            trailers = ((DETAILS_KEY, refusal.details),)
            await context.abort(refusal.code, refusal.message, trailers)
        return perturber_pb2.ReverseResponse(
            probabilities=request.probabilities, secrets=request.secrets
        )


@asynccontextmanager
async def perturbers_of(*services: Keyed) -> AsyncIterator[Perturbers]:
    """The front door's view of some perturbers, once probed."""

    def open_replica(endpoint: str, repeats: bool) -> Replica[PerturberClient]:
        peer = Peer(endpoint, PERTURBER, 1 << 20, retries=repeats)
        peer.inquiry = Inquiry("digest")
        return Replica(peer, PerturberClient(peer, "digest"))

    async with AsyncExitStack() as stack:
        for service in services:
            await service.start()
            stack.push_async_callback(service.server.stop, None)
        parts = read_target(",".join(service.target for service in services))
        replicas = Replicas(PERTURBER, parts, open_replica, 60.0, Lasting())
        await replicas.start()
        metrics = InferenceMetrics(Metrics())
        perturbers = Perturbers(replicas, Agreement(metrics.secrets_mixed, metrics.secrets))
        stack.push_async_callback(perturbers.close)
        await perturbers.probe(10.0)
        yield perturbers


def under(*secrets: int) -> FlaggedRows:
    """A row under each secret."""
    return replace(flagged_of(len(secrets)), secrets=np.array(secrets, np.uint32))


async def test_all_perturbers_are_asked_in_turn() -> None:
    """Any of them gives the same answer."""
    first, second = Keyed(OLD), Keyed(OLD)
    async with perturbers_of(first, second) as perturbers:
        assert perturbers.is_up
        assert perturbers.secrets() == (OLD,)
        for _ in range(4):
            answers = await perturbers.reverse(under(OLD, 0), 10.0)
            assert answers.tobytes() == flagged_of(2).probabilities.tobytes()
    # A row without a secret gets the current one by name, so that no perturber chooses it.
    assert first.asked == second.asked == [[OLD, OLD]] * 2


async def test_a_mixed_set_is_not_asked() -> None:
    """It counts as gone, with the reason, until all of them hold one secret."""
    first, second = Keyed(OLD), Keyed(NEW)
    async with perturbers_of(first, second) as perturbers:
        assert not perturbers.is_up
        with pytest.raises(PeerUnavailable, match="no secret that all perturbers hold"):
            await perturbers.reverse(under(OLD), 10.0)
        assert first.asked == second.asked == []
        second.held = [NEW, OLD]
        assert await perturbers.probe(10.0)
        await perturbers.reverse(under(OLD), 10.0)
    assert first.asked + second.asked == [[OLD]]


async def test_a_secret_that_retired_since_the_last_probe_costs_no_request() -> None:
    """The perturber refuses it, tells what it holds now, and is asked for that."""
    service = Keyed(NEW, OLD)
    async with perturbers_of(service) as perturbers:
        service.held = [NEW]
        answers = await perturbers.reverse(under(OLD, NEW), 10.0)
        assert answers.tobytes() == flagged_of(2).probabilities.tobytes()
        assert perturbers.secrets() == (NEW,)
    assert service.asked == [[OLD, NEW], [NEW, NEW]]


async def test_a_perturber_that_is_gone_is_left_out() -> None:
    """Its rows go to another one at once; without any the caller is told."""
    first, second = Keyed(OLD), Keyed(OLD)
    async with perturbers_of(first, second) as perturbers:
        await first.server.stop(None)
        for _ in range(2):
            await perturbers.reverse(under(OLD), 10.0)
        assert second.asked == [[OLD]] * 2
        await second.server.stop(None)
        with pytest.raises(PeerUnavailable):
            await perturbers.reverse(under(OLD), 10.0)
        assert not perturbers.is_up
