"""The server kit, with a real gRPC server and real clients."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from queen.api.v1 import perturber_pb2, perturber_pb2_grpc
from queen.serving.server import EXIT_STUCK, run_service, running
from queen.serving.shell import Offer, Shell
from tests.unit.serving.toy_service import NAME, Echo, ToySettings, toy, wire


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
from tests.unit.serving.toy_service import ToySettings, wire

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
