"""The question that a peer gets with every probe."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from queen_inference.peers.inquiry import Inquiry
from queen_inference.peers.peer import Peer

from queen.serving.service_identity import identity_offer


@asynccontextmanager
async def peer_telling(digest: str | None, held: list[int]) -> AsyncIterator[Peer]:
    """A peer that is healthy, and tells a bundle and secrets if it tells anything."""
    server, states = grpc.aio.server(), health.aio.HealthServicer()  # type: ignore[attr-defined]
    health_pb2_grpc.add_HealthServicer_to_server(states, server)
    await states.set("service", health_pb2.HealthCheckResponse.SERVING)
    if digest is not None:
        identity_offer(digest, lambda: held).add(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    peer = Peer(f"127.0.0.1:{port}", "service", 1 << 20)
    peer.inquiry = Inquiry("digest")
    try:
        yield peer
    finally:
        await peer.close()
        await server.stop(None)


async def test_a_probe_learns_the_secrets_of_now() -> None:
    """A peer with the same bundle serves, and its secrets follow it."""
    held = [5]
    async with peer_telling("digest", held) as peer:
        assert peer.inquiry is not None
        assert await peer.probe(10)
        assert peer.inquiry.secrets == (5,)
        held[:] = [6, 5]
        assert await peer.probe(10)
        assert peer.inquiry.secrets == (6, 5)


async def test_a_peer_with_another_bundle_does_not_serve() -> None:
    """The first probe says so, before any caller's request fails by it."""
    async with peer_telling("another", []) as peer:
        assert not await peer.probe(10)
        assert peer.problem == "it serves bundle another, expected digest"


async def test_a_peer_that_tells_nothing_does_not_serve() -> None:
    """Whatever listens there, it is no service of this deployment."""
    async with peer_telling(None, []) as peer:
        assert not await peer.probe(10)
        assert "UNIMPLEMENTED" in peer.problem
