"""The kinds of failure of a peer, over real gRPC, and the clock for its delays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from queen_inference.peers.peer import TICK_SECONDS, LoopClock, Peer
from queen_inference.peers.perturber import PERTURBER

from queen.api.v1 import perturber_pb2, perturber_pb2_grpc
from queen.errors import (
    BatchTooLarge,
    BundleMismatch,
    DependencyUnavailable,
    LedgerCorrupt,
    Overloaded,
    PeerOverloaded,
    PeerUnavailable,
    QueenError,
    SecretMismatch,
)
from queen.serving.lasting.tasks import Lasting
from queen.serving.status import DETAILS_KEY, refuse

SERVING = health_pb2.HealthCheckResponse.SERVING


class Scripted(perturber_pb2_grpc.PerturberServiceServicer, health_pb2_grpc.HealthServicer):
    """Fails, or takes its time, as it is told; healthy as far as it says."""

    def __init__(self) -> None:
        self.error: QueenError | grpc.StatusCode | None = None
        self.seconds = 0.0
        self.asked = asyncio.Event()

    async def Reverse(self, _request: Any, context: Any) -> perturber_pb2.ReverseResponse:  # noqa: N802 - gRPC's names
        """Answer with the value that the test has set."""
        self.asked.set()
        await asyncio.sleep(self.seconds)
        if isinstance(self.error, grpc.StatusCode):
            await context.abort(self.error, "a transport's own words")
        if self.error is not None:
            refusal = refuse(self.error)
            trailers = ((DETAILS_KEY, refusal.details),)
            await context.abort(refusal.code, refusal.message, trailers)
        return perturber_pb2.ReverseResponse(probabilities=b"heard")

    async def Check(self, _request: Any, _context: Any) -> health_pb2.HealthCheckResponse:  # noqa: N802 - gRPC's names
        """Serving."""
        await asyncio.sleep(self.seconds)
        return health_pb2.HealthCheckResponse(status=SERVING)

    async def Watch(  # noqa: N802 - gRPC's names
        self, _request: Any, _context: Any
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Serving, for as long as anyone listens."""
        yield health_pb2.HealthCheckResponse(status=SERVING)
        await asyncio.Event().wait()


@asynccontextmanager
async def dialed(
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[tuple[Peer, Scripted]]:
    """A peer that is up, and what is behind it."""
    scripted, server = Scripted(), grpc.aio.server()
    perturber_pb2_grpc.add_PerturberServiceServicer_to_server(scripted, server)
    health_pb2_grpc.add_HealthServicer_to_server(scripted, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    peer = Peer(f"127.0.0.1:{port}", PERTURBER, 1 << 20, retries=False, clock=clock)
    assert await peer.probe(10.0)
    yield peer, scripted
    await peer.close()
    await server.stop(0)


async def call(peer: Peer, timeout_seconds: float = 10.0) -> bytes:
    """The answer of the server."""
    stub = perturber_pb2_grpc.PerturberServiceStub(peer.channel)
    response = await peer.call(stub.Reverse, perturber_pb2.ReverseRequest(), timeout_seconds)
    return bytes(response.probabilities)


@pytest.mark.parametrize(
    ("error", "kind", "stays_up"),
    [
        (grpc.StatusCode.UNAVAILABLE, PeerUnavailable, False),
        (DependencyUnavailable("no store"), PeerUnavailable, True),
        (BundleMismatch("another bundle"), PeerUnavailable, True),
        (SecretMismatch("another secret"), PeerUnavailable, True),
        (Overloaded("full"), PeerOverloaded, True),
        (BatchTooLarge("more rows than it takes"), PeerOverloaded, True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, PeerOverloaded, True),
        (grpc.StatusCode.INTERNAL, DependencyUnavailable, True),
        (LedgerCorrupt("damaged"), DependencyUnavailable, True),
    ],
)
async def test_each_failure_has_its_kind(
    error: QueenError | grpc.StatusCode, kind: type[DependencyUnavailable], stays_up: bool
) -> None:
    """Gone, there without what it needs, full, or at fault; only who says nothing is gone.

    A request that is too large is the caller's choice, and must not bring the failure mode.
    """
    async with dialed() as (peer, scripted):
        scripted.error = error
        with pytest.raises(DependencyUnavailable) as caught:
            await call(peer)
        assert type(caught.value) is kind
        assert peer.is_up is stays_up


async def test_a_late_peer_is_late() -> None:
    """While this process listens, a timeout is the peer's fault, and so are two late probes."""
    clock = LoopClock()
    async with clock.running(Lasting()), dialed(clock.now) as (peer, scripted):
        scripted.seconds = 30.0
        with pytest.raises(DependencyUnavailable) as caught:
            await call(peer, 0.3)
        assert type(caught.value) is DependencyUnavailable
        assert await peer.probe(0.3)
        scripted.seconds = 0.0
        assert await peer.probe(10.0)
        scripted.seconds = 30.0
        assert [await peer.probe(0.3) for _ in range(3)] == [True, False, False]


async def test_a_timeout_that_we_slept_through_is_our_own_overload() -> None:
    """A loop that cannot listen blames no peer: not for the call, and not for the probe."""
    clock = LoopClock()

    async def stall() -> None:
        while True:
            time.sleep(0.3)
            await asyncio.sleep(0)

    async with clock.running(Lasting()), dialed(clock.now) as (peer, scripted):
        scripted.seconds = 0.2
        assert await call(peer) == b"heard"
        stalling = asyncio.create_task(stall())
        with pytest.raises(PeerOverloaded):
            await call(peer, 0.5)
        assert await peer.probe(0.5)
        stalling.cancel()


async def test_a_channel_that_is_closed_under_a_call_is_an_endpoint_that_left() -> None:
    """The caller is not cancelled with it."""
    async with dialed() as (peer, scripted):
        scripted.seconds = 30.0
        calling = asyncio.create_task(call(peer))
        await scripted.asked.wait()
        await peer.close()
        with pytest.raises(PeerUnavailable, match="has left"):
            await calling


async def test_a_caller_that_is_cancelled_stays_cancelled() -> None:
    """Its own end is no failure of the peer."""
    async with dialed() as (peer, scripted):
        scripted.seconds = 30.0
        calling = asyncio.create_task(call(peer))
        await scripted.asked.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling


async def test_the_loop_clock_follows_an_idle_loop() -> None:
    """Seconds pass, less than a few ticks behind the wall clock, and end with the block."""
    clock = LoopClock()
    async with clock.running(Lasting()):
        began = asyncio.get_running_loop().time()
        while clock.now() < 0.05:
            await asyncio.sleep(TICK_SECONDS)
        assert asyncio.get_running_loop().time() - began >= 0.05 - 2 * TICK_SECONDS
    ended = clock.now()
    await asyncio.sleep(3 * TICK_SECONDS)
    assert clock.now() == ended


async def test_a_stall_of_the_loop_counts_two_ticks() -> None:
    """No answer can be received in a turn of the loop, however long it lasts."""
    clock = LoopClock()
    async with clock.running(Lasting()):
        for _ in range(3):
            time.sleep(0.1)
            await asyncio.sleep(0.0)
        assert clock.now() <= 3 * 2 * TICK_SECONDS
