"""Health of the process and of its services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from queen.serving.edge.calls import CallLimits, CallsInWork
from queen.serving.edge.grpc_server import GrpcServer
from queen.serving.edge.terms import TRUSTING, Gate
from queen.serving.health import MOST_WATCHERS, PROCESS, Health, add_health
from queen.serving.interceptors import Edge, ObservedServer
from queen.serving.metrics import Metrics
from tests.raw_http2 import RawHttp2
from tests.waiting import until

WATCH = b"/grpc.health.v1.Health/Watch"
SERVING, NOT_SERVING, UNKNOWN = 1, 2, 3


class Served:
    """Health on a server of its own."""

    def __init__(self) -> None:
        self.health = Health()
        self.address = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[health_pb2_grpc.HealthStub]:
        """A stub of the health."""
        loop, server, metrics = asyncio.get_running_loop(), GrpcServer([]), Metrics()
        limits = CallLimits(1024, 2**24, 2**16, 60, 60)
        self.calls = CallsInWork(limits, lambda _why: None, loop.time, loop.call_later)
        edge = Edge(self.calls, Gate(), TRUSTING)
        add_health(self.health, ObservedServer(server, metrics, edge))
        self.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        async with grpc.aio.insecure_channel(self.address) as channel:
            yield health_pb2_grpc.HealthStub(channel)
        await server.stop(None)


def named(name: str) -> health_pb2.HealthCheckRequest:
    """A request for the health of a name."""
    return health_pb2.HealthCheckRequest(service=name)


def test_what_nobody_set_serves_from_the_beginning() -> None:
    """A service that depends on a peer sets its own state before; that stays."""
    health = Health()
    health.set_serving("waiting", serving=False)
    assert not health.is_serving("ready")
    health.begin(["ready", "waiting"])
    assert [health.is_serving(name) for name in (PROCESS, "ready", "waiting")] == [
        True,
        True,
        False,
    ]
    health.set_serving("waiting", serving=True)
    assert health.is_serving("waiting")


def test_nothing_serves_while_the_process_drains() -> None:
    """For good: a peer that comes back during the drain changes nothing."""
    health = Health()
    health.begin(["ready"])
    health.drain()
    assert health.is_draining
    health.set_serving("ready", serving=True)
    assert not health.is_serving("ready")


async def test_a_check_tells_the_state() -> None:
    """An unknown name is NOT_FOUND, and a long one is told its limit."""
    served = Served()
    served.health.begin(["ready"])
    async with served.serving() as stub:
        assert (await stub.Check(named("ready"))).status == SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(named("other"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        long = named("n" * 257)
        for refused in (stub.Check(long), stub.Watch(long).read()):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await refused
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "at most 256 bytes, got 257" in (caught.value.details() or "")


async def test_a_watcher_hears_of_every_state_that_lasts() -> None:
    """From any thread; the same state is told once, and a name may begin to exist."""
    served = Served()
    async with served.serving() as stub:
        watch = stub.Watch(named("late"))
        assert (await watch.read()).status == UNKNOWN
        await asyncio.to_thread(served.health.set_serving, "late", serving=True)
        assert (await watch.read()).status == SERVING
        served.health.set_serving("other", serving=True)
        served.health.set_serving("late", serving=False)
        assert (await watch.read()).status == NOT_SERVING
        served.health.drain()
        served.health.end_watches()
        assert await watch.read() is grpc.aio.EOF


async def test_a_watcher_that_reads_nothing_holds_nobody_up() -> None:
    """States go on changing and others hear of them; it is told the newest, or dropped at the end.

    Its window is 0: not one byte of an answer can be sent to it.
    """
    served = Served()
    served.health.begin(["ready"])
    async with served.serving() as stub:
        with RawHttp2(served.address, window=0) as raw:
            raw.send(raw.begin(WATCH), named("ready").SerializeToString())
            await until(lambda: served.calls.held > 0)
            watch = stub.Watch(named("ready"))
            told = [(await watch.read()).status]
            for serving in (False, True, False):
                served.health.set_serving("ready", serving=serving)
                told.append((await watch.read()).status)
            assert told == [SERVING, NOT_SERVING, SERVING, NOT_SERVING]
            served.health.drain()
            served.health.end_watches()
            await until(lambda: len(served.calls) == 0)


async def test_a_watcher_that_reads_late_gets_the_newest_state() -> None:
    """And not the ones between: one value waits for it, however often the state changes."""
    served = Served()
    served.health.begin(["ready"])
    async with served.serving() as stub:
        watch = stub.Watch(named("ready"))
        assert (await watch.read()).status == SERVING
        for serving in (False, True, False):
            served.health.set_serving("ready", serving=serving)
        assert (await watch.read()).status == NOT_SERVING


async def test_watchers_are_bounded() -> None:
    """A newcomer ends the oldest one of the host that has most, and checks go on."""
    served = Served()
    served.health.begin([])
    async with served.serving() as stub:
        watches = []
        for _ in range(MOST_WATCHERS):
            watches.append(stub.Watch(named("")))
            await watches[-1].read()
        newcomer = stub.Watch(named(""))
        assert (await newcomer.read()).status == SERVING
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await watches[0].read()
        assert (await stub.Check(named(""))).status == SERVING
        served.health.set_serving("", serving=False)
        for watch in (watches[1], newcomer):
            assert (await watch.read()).status == NOT_SERVING
        await until(lambda: len(served.calls) == MOST_WATCHERS)
        for watch in watches:
            watch.cancel()
