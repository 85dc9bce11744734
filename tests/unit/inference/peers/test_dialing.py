"""Channels to a peer over TLS, and their PEM files, with a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from queen_inference.peers.dialing import Dialer
from queen_inference.peers.peer import Peer
from queen_inference.peers.perturber import PERTURBER

from queen.api.v1 import perturber_pb2, perturber_pb2_grpc
from queen.serving.ports.credentials import server_credentials
from queen.serving.ports.pem import PemFiles
from tests.certificates import Authority, make_authority, replace_pair

REQUEST = perturber_pb2.ReverseRequest()


class Gated(perturber_pb2_grpc.PerturberServiceServicer):
    """Answers once its gate is open, with the names of the certificate that it was shown."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()

    async def Reverse(  # noqa: N802 - gRPC's name
        self, _request: perturber_pb2.ReverseRequest, context: grpc.aio.ServicerContext
    ) -> perturber_pb2.ReverseResponse:
        """The first name."""
        self.asked.set()
        await self.gate.wait()
        names = list(context.auth_context().get("x509_common_name", [b"nobody"]))
        return perturber_pb2.ReverseResponse(probabilities=names[0])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority."""
    return make_authority(tmp_path_factory.mktemp("keys") / "authority")


@asynccontextmanager
async def serving(files: PemFiles, gated: Gated) -> AsyncIterator[str]:
    """The target of a perturber that demands a certificate."""
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    await servicer.set(PERTURBER, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    perturber_pb2_grpc.add_PerturberServiceServicer_to_server(gated, server)
    port = server.add_secure_port("127.0.0.1:0", server_credentials(files))
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def shown(peer: Peer) -> bytes:
    """The name of the certificate that a call shows."""
    reverse = perturber_pb2_grpc.PerturberServiceStub(peer.channel).Reverse
    response = await peer.call(reverse, REQUEST, 10.0)
    return bytes(response.probabilities)


async def test_a_renewed_certificate_is_shown_and_no_call_is_lost(authority: Authority) -> None:
    """A call that was under way when the files changed ends as if nothing had happened."""
    gated = Gated()
    mine = authority.issue("first", "DNS:door")
    async with serving(authority.issue("perturber", "DNS:queen-perturber"), gated) as target:
        peer = Peer(target, PERTURBER, 1 << 20, dialer=Dialer(mine, "queen-perturber"))
        assert await peer.probe(10.0)
        assert await shown(peer) == b"first"
        gated.gate.clear()
        gated.asked.clear()
        under_way = asyncio.create_task(shown(peer))
        await gated.asked.wait()
        replace_pair(mine, authority.issue("second", "DNS:door"))
        assert await peer.probe(10.0)
        fresh = asyncio.create_task(shown(peer))
        gated.gate.set()
        assert await asyncio.gather(under_way, fresh) == [b"first", b"second"]
        await peer.close()


async def test_files_that_the_peer_refuses_change_nothing(
    authority: Authority, tmp_path: Path
) -> None:
    """A pair of another authority stays out until a good pair comes."""
    mine = authority.issue("steady", "DNS:door")
    async with serving(authority.issue("perturber", "DNS:queen-perturber"), Gated()) as target:
        peer = Peer(target, PERTURBER, 1 << 20, dialer=Dialer(mine, "queen-perturber"))
        assert await peer.probe(10.0)
        replace_pair(mine, make_authority(tmp_path / "foreign").issue("other", "DNS:door"))
        assert await peer.probe(10.0)
        assert await shown(peer) == b"steady"
        replace_pair(mine, authority.issue("mended", "DNS:door"))
        assert await peer.probe(10.0)
        assert await shown(peer) == b"mended"
        await peer.close()


async def test_a_peer_with_another_name_is_not_called(authority: Authority) -> None:
    """The certificate must have the name that was stated, and the probe says what is wrong."""
    mine = authority.issue("door", "DNS:door")
    async with serving(authority.issue("imposter", "DNS:queen-inference"), Gated()) as target:
        peer = Peer(target, PERTURBER, 1 << 20, dialer=Dialer(mine, "queen-perturber"))
        assert not await peer.probe(10.0)
        assert peer.problem.startswith("UNAVAILABLE")
        await peer.close()
        anonymous = replace(mine, certificate=None, key=None)
        peer = Peer(target, PERTURBER, 1 << 20, dialer=Dialer(anonymous, "queen-inference"))
        assert not await peer.probe(10.0)
        await peer.close()


async def test_proxies_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A peer behind a proxy would be another's; gRPC reads these variables for each channel."""
    for variable in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    server, servicer = grpc.aio.server(), health.aio.HealthServicer()
    await servicer.set(PERTURBER, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    peer = Peer(f"127.0.0.1:{port}", PERTURBER, 1 << 20)
    assert await peer.probe(10.0)
    await peer.close()
    await server.stop(None)
