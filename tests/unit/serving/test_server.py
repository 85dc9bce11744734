"""The server kit, with a real gRPC server and real clients."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from queen.api.v1 import perturber_pb2, perturber_pb2_grpc
from queen.errors import ConfigError, InvalidQuery
from queen.serving.server import EXIT_STUCK, Offer, Shell, run_service, running
from queen.serving.settings import ServiceSettings

NAME = "queen.api.v1.PerturberService"


class ToySettings(ServiceSettings):
    """Settings of a toy."""

    model_config = SettingsConfigDict(env_prefix="QUEEN_TOY_")

    port: int = Field(default=0, ge=0, le=65535)
    """Port."""
    metrics_port: int = Field(default=0, ge=-1, le=65535)
    """Metrics."""
    admin_port: int = Field(default=0, ge=0, le=65535)
    """Admin."""


class Echo(perturber_pb2_grpc.PerturberServiceServicer):
    """Answers with the request's probabilities; some digests make it fail or wait."""

    def __init__(self) -> None:
        self.is_waiting, self.may_answer = asyncio.Event(), asyncio.Event()
        self.slow_asked = 0

    async def Reverse(  # noqa: N802
        self, request: perturber_pb2.ReverseRequest, _context: Any
    ) -> perturber_pb2.ReverseResponse:
        """Echo."""
        if request.bundle_digest == "bug":
            raise RuntimeError("the secret path /etc/queen")
        if request.bundle_digest == "bad":
            raise InvalidQuery("expected good, got bad", field="bundle_digest")
        if request.bundle_digest == "slow":
            self.slow_asked += 1
            self.is_waiting.set()
            await self.may_answer.wait()
        return perturber_pb2.ReverseResponse(probabilities=request.probabilities)


@asynccontextmanager
async def wire(
    _settings: ToySettings, _shell: Shell, echo: Echo | None = None
) -> AsyncIterator[Sequence[Offer]]:
    """A service that echoes."""
    add = perturber_pb2_grpc.add_PerturberServiceServicer_to_server
    yield [Offer(NAME, partial(add, echo or Echo()))]


def toy(tmp_path: Path, **settings: Any) -> ToySettings:
    """Settings on free ports."""
    return ToySettings(bundle=tmp_path, drain_seconds=2.0, **settings)


async def check(channel: grpc.aio.Channel, name: str) -> int:
    """Health of a name."""
    request = health_pb2.HealthCheckRequest(service=name)
    return int((await health_pb2_grpc.HealthStub(channel).Check(request)).status)


def metric(address: str, line: str) -> bool:
    """Whether /metrics holds a line."""
    with urllib.request.urlopen(f"http://{address}/metrics") as response:
        return line in response.read().decode()


async def test_a_service_answers_health_reflection_and_metrics(tmp_path: Path) -> None:
    """The process and the service serve, reflection lists them, and calls are counted."""
    ready = tmp_path / "ready.json"
    async with running(toy(tmp_path, ready_file=ready), wire) as process:
        told = json.loads(ready.read_text())
        assert {name: told[name] for name in ("address", "metrics")} == process.addresses
        async with grpc.aio.insecure_channel(told["address"]) as channel:
            assert await check(channel, "") == await check(channel, NAME) == 1
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await check(channel, "unknown")
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
            stub = perturber_pb2_grpc.PerturberServiceStub(channel)
            answer = await stub.Reverse(perturber_pb2.ReverseRequest(probabilities=b"x"))
            assert answer.probabilities == b"x"
            question = reflection_pb2.ServerReflectionRequest(list_services="")
            listed = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
                iter([question])
            )
            async for response in listed:
                names = {service.name for service in response.list_services_response.service}
            assert {NAME, "grpc.health.v1.Health"} <= names
        line = f'grpc_code="OK",grpc_method="Reverse",grpc_service="{NAME}"}} 1.0'
        assert await asyncio.to_thread(metric, told["metrics"], line)
    assert not ready.exists()


async def test_an_unknown_exception_becomes_an_opaque_internal(tmp_path: Path) -> None:
    """A bug's text reaches no caller, a known error's does, and the server goes on."""
    async with (
        running(toy(tmp_path), wire) as process,
        grpc.aio.insecure_channel(process.addresses["address"]) as channel,
    ):
        stub = perturber_pb2_grpc.PerturberServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Reverse(perturber_pb2.ReverseRequest(bundle_digest="bug"))
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        assert "secret" not in str(caught.value)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Reverse(perturber_pb2.ReverseRequest(bundle_digest="bad"))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert caught.value.details() == "expected good, got bad"
        await stub.Reverse(perturber_pb2.ReverseRequest())


async def test_a_drain_finishes_calls_and_ends_watches(tmp_path: Path) -> None:
    """A call in flight is answered, a watcher hears NOT_SERVING, and neither uses up the grace."""
    echo, clock = Echo(), asyncio.get_running_loop().time
    async with running(toy(tmp_path), partial(wire, echo=echo)) as process:
        channel = grpc.aio.insecure_channel(process.addresses["address"])
        watch = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(service=NAME)
        )
        before = (await watch.read()).status

        async def let_answer_while_draining() -> int:
            state = int((await watch.read()).status)
            echo.may_answer.set()
            return state

        stub = perturber_pb2_grpc.PerturberServiceStub(channel)
        call = stub.Reverse(perturber_pb2.ReverseRequest(bundle_digest="slow", probabilities=b"x"))
        await echo.is_waiting.wait()
        draining = asyncio.create_task(let_answer_while_draining())
        started = clock()
    assert (await call).probabilities == b"x"
    assert (before, await draining) == (1, 2)
    assert clock() - started < 1.5
    await channel.close()


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


def test_a_refused_start_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    """A settings typo ends with one line on stderr and code 2."""
    assert run_service("toy", ToySettings, wire, ["--prot", "1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_dead_work_ends_the_process(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A watcher that dies leaves no server behind that knows of no change: exit code 1."""

    async def work() -> None:
        raise ValueError("day is out of range for month")

    @asynccontextmanager
    async def watched(settings: ToySettings, shell: Shell) -> AsyncIterator[Sequence[Offer]]:
        async with shell.lasting.running("watcher", work()), wire(settings, shell) as offers:
            yield offers

    flags = [f"--bundle={tmp_path}", "--port=0", "--metrics-port=0", "--drain-seconds=1"]
    assert run_service("toy", ToySettings, watched, flags) == 1
    assert "day is out of range for month" in capfd.readouterr().err


_STUCK = """
import os, signal, sys, threading
from contextlib import asynccontextmanager
from pathlib import Path
import queen.serving.server as server
from tests.unit.serving.test_server import ToySettings, wire

server.CLOSING_SECONDS = 0.1


@asynccontextmanager
async def stuck(settings, shell):
    async with wire(settings, shell) as offers:
        yield offers
        threading.Event().wait()


threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
flags = ["--bundle", ".", "--port", "0", "--metrics-port", "-1", "--drain-seconds", "0"]
sys.exit(server.run_service("toy", ToySettings, stuck, flags))
"""


def test_a_process_that_does_not_stop_ends_itself() -> None:
    """A thread that waits for ever in its wiring: exit code 70, and a line that says so."""
    done = subprocess.run(
        [sys.executable, "-c", _STUCK], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == EXIT_STUCK
    assert "stopping took too long" in done.stderr


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
