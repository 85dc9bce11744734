"""The ports of a process, with a real gRPC server and real clients."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from queen.api.v1 import perturber_pb2, perturber_pb2_grpc
from queen.errors import ConfigError, Unauthenticated
from queen.serving.edge.calls import STRANGERS_SHARE
from queen.serving.edge.terms import Terms
from queen.serving.server import running
from queen.serving.shell import Offer, Shell
from tests.raw_http2 import SETTINGS, RawHttp2
from tests.unit.serving.toy_service import Echo, ToySettings, toy, wire


@pytest.mark.parametrize("setting", ["port", "metrics_port"])
async def test_a_port_in_use_is_a_sentence(tmp_path: Path, setting: str) -> None:
    """The address and the flag are named, and nothing keeps serving."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        flag = "--" + setting.replace("_", "-")
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port}.*{flag}"):
            async with running(toy(tmp_path, **{setting: port}), wire):
                pass


async def test_a_message_above_the_cap_is_refused(tmp_path: Path) -> None:
    """A message that is too large is RESOURCE_EXHAUSTED, and the server still answers."""
    async with (
        running(toy(tmp_path, max_message_bytes=2048), wire) as process,
        grpc.aio.insecure_channel(process.addresses["address"]) as channel,
    ):
        stub = perturber_pb2_grpc.PerturberServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Reverse(perturber_pb2.ReverseRequest(probabilities=b"x" * 4096))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await stub.Reverse(perturber_pb2.ReverseRequest())


async def test_a_connection_has_a_bound_on_its_calls(tmp_path: Path) -> None:
    """A call above it waits at its client, and other connections are served meanwhile."""
    echo = Echo()
    quick, slow = (perturber_pb2.ReverseRequest(bundle_digest=name) for name in ("quick", "slow"))
    async with (
        running(toy(tmp_path, max_streams=2), partial(wire, echo=echo)) as process,
        grpc.aio.insecure_channel(process.addresses["address"]) as full,
        grpc.aio.insecure_channel(
            process.addresses["address"], options=[("grpc.use_local_subchannel_pool", 1)]
        ) as other,
    ):
        ask, ask_elsewhere = (
            perturber_pb2_grpc.PerturberServiceStub(channel).Reverse for channel in (full, other)
        )
        # The bound reaches a client with the first answer.
        await ask(quick)
        await ask_elsewhere(quick)
        calls = [ask(slow) for _ in range(3)]
        await echo.is_waiting.wait()
        for _ in range(20):
            await ask_elsewhere(quick)
        assert echo.slow_asked == 2
        echo.may_answer.set()
        await asyncio.gather(*calls, return_exceptions=True)


@dataclass(frozen=True)
class Named:
    """The owner of a credential."""

    hash: str


def admit(_method: str, context: Any) -> Named:
    """The caller that the header `who` names."""
    who = dict(context.invocation_metadata()).get("who")
    if who is None:
        raise Unauthenticated("expected who")
    return Named(who)


@asynccontextmanager
async def wire_named(settings: ToySettings, shell: Shell) -> AsyncIterator[Sequence[Offer]]:
    """The toy, for callers that say who they are."""
    async with wire(settings, shell) as offers:
        yield [replace(offer, terms=Terms(admit)) for offer in offers]


async def test_health_tells_who_shows_a_credential_apart(tmp_path: Path) -> None:
    """A stranger whose message never comes fills the strangers' room, and no account's."""
    settings = toy(tmp_path, max_calls=STRANGERS_SHARE)
    async with (
        running(settings, wire_named) as process,
        grpc.aio.insecure_channel(process.addresses["address"]) as channel,
    ):
        check = health_pb2_grpc.HealthStub(channel).Check
        request = health_pb2.HealthCheckRequest()
        work = process.shell.metrics.registry.get_sample_value
        with RawHttp2(process.addresses["address"]) as stranger:
            stranger.begin(b"/grpc.health.v1.Health/Check")
            while not work("queen_calls_in_work"):
                await asyncio.sleep(0)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await check(request)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            answer = await check(request, metadata=(("who", "alice"),))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_probe_gets_in_among_calls_without_a_message(tmp_path: Path) -> None:
    """On the port of probes the oldest of them gives way."""
    async with running(toy(tmp_path, health_port=0), wire) as process, AsyncExitStack() as stack:
        address = process.addresses["health"]
        metric = process.shell.metrics.registry.get_sample_value
        for _ in range(3):
            stranger = stack.enter_context(RawHttp2(address))
            for _ in range(100):
                stranger.begin(b"/grpc.health.v1.Health/Check")
        while not metric("queen_calls_dropped_total", {"reason": "gave_way"}):
            await asyncio.sleep(0)
        async with grpc.aio.insecure_channel(address) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            answers = [await check(health_pb2.HealthCheckRequest()) for _ in range(10)]
    assert {answer.status for answer in answers} == {health_pb2.HealthCheckResponse.SERVING}


async def test_a_new_connection_may_begin_many_calls(tmp_path: Path) -> None:
    """The bound reaches a client after its first calls: a hundred at once are served."""
    async with (
        running(toy(tmp_path), wire) as process,
        grpc.aio.insecure_channel(process.addresses["address"]) as channel,
    ):
        ask = perturber_pb2_grpc.PerturberServiceStub(channel).Reverse
        request = perturber_pb2.ReverseRequest(probabilities=b"x")
        answers = await asyncio.gather(*(ask(request) for _ in range(100)))
    assert {answer.probabilities for answer in answers} == {b"x"}


async def test_connections_are_bounded(tmp_path: Path) -> None:
    """One more is closed before it is spoken to; once another leaves there is room again."""

    def is_served(connection: RawHttp2) -> bool:
        try:
            return connection.read()[0] == SETTINGS
        except (EOFError, ConnectionError):
            return False

    async with running(toy(tmp_path, max_connections=8), wire) as process:
        address = process.addresses["address"]
        with ExitStack() as stack:
            connections = [stack.enter_context(RawHttp2(address)) for _ in range(8)]
            served = [await asyncio.to_thread(is_served, one) for one in connections]
            assert served == [True] * 8
            with RawHttp2(address) as surplus:
                assert not await asyncio.to_thread(is_served, surplus)
        async with asyncio.timeout(30):
            while True:
                with RawHttp2(address) as newcomer:
                    if await asyncio.to_thread(is_served, newcomer):
                        break
