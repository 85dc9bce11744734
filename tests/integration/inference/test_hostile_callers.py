"""Hostile callers of a front door that runs as a process: what it holds, whom it still serves."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2

from queen.api.oip import open_inference_pb2 as oip
from tests.bundles import SmallBundle, make_bundle
from tests.integration.inference.door import NOWHERE, Client, raw_request, write_accounts
from tests.raw_http2 import HEADERS, RawHttp2
from tests.service_process import ServiceProcess
from tests.waiting import eventually

CODE = grpc.StatusCode
MIB = 2**20
INFER = b"/inference.GRPCInferenceService/ModelInfer"
WATCH = b"/grpc.health.v1.Health/Watch"
GRACE_SECONDS = 5


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle."""
    return make_bundle(tmp_path_factory.mktemp("bundle") / "b")


@contextmanager
def running(small: SmallBundle, folder: Path, **settings: object) -> Iterator[ServiceProcess]:
    """A door without peers, as a process."""
    process = ServiceProcess(
        "inference",
        folder,
        bundle=small.path,
        accounts=write_accounts(folder, alice=""),
        sensitivity_target=NOWHERE,
        perturber_target=NOWHERE,
        default_profile="paper",
        unassessed_rows=1 << 30,
        decision_log="off",
        drain_seconds=GRACE_SECONDS,
        **settings,
    )
    try:
        yield process.start()
    finally:
        process.end()


@pytest.fixture(scope="module")
def door(small: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A door that many hostile callers meet, one after the other."""
    with running(small, tmp_path_factory.mktemp("door")) as process:
        yield process


def memory_mib(process: ServiceProcess, kind: str) -> float:
    """Resident memory of the process: VmRSS now, VmHWM at its highest."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith(kind)]
    return int(line.split()[1]) / 1024


def channel_to(process: ServiceProcess) -> grpc.aio.Channel:
    """A channel that sends messages of any size, on a connection of its own."""
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    return grpc.aio.insecure_channel(process.address, options)


async def asked(process: ServiceProcess, small: SmallBundle) -> int:
    """Answers that an honest account gets."""
    async with channel_to(process) as channel:
        return len(await Client(channel).ask(small.inputs[:2]))


async def codes_of(
    process: ServiceProcess, request: oip.ModelInferRequest, account: str | None, count: int
) -> set[grpc.StatusCode]:
    """Outcomes of `count` such requests at once, compressed where that helps them."""
    async with channel_to(process) as channel:
        method = channel.unary_unary(INFER.decode())
        data, key = request.SerializeToString(), (("authorization", f"Bearer key-of-{account}"),)
        compression = grpc.Compression.Gzip if request.inputs else None
        calls = [method(data, metadata=key, compression=compression) for _ in range(count)]
        errors = await asyncio.gather(*calls, return_exceptions=True)
    return {error.code() for error in errors if isinstance(error, grpc.aio.AioRpcError)}


@pytest.mark.parametrize(
    ("account", "code"), [("nobody", CODE.UNAUTHENTICATED), ("alice", CODE.RESOURCE_EXHAUSTED)]
)
async def test_huge_bodies_take_no_memory(
    door: ServiceProcess, small: SmallBundle, account: str, code: grpc.StatusCode
) -> None:
    """64 bodies of 15 MiB at once, with a bad key and with a good one: at most 100 MiB."""
    before = memory_mib(door, "VmRSS")
    request = oip.ModelInferRequest(raw_input_contents=[bytes(15 * MIB)])
    assert await codes_of(door, request, account, 64) == {code}
    assert memory_mib(door, "VmHWM") < before + 100
    assert await asked(door, small) == 2


@pytest.mark.parametrize("account", ["nobody", "alice"])
async def test_a_message_of_millions_of_tensors_takes_no_memory(
    door: ServiceProcess, small: SmallBundle, account: str
) -> None:
    """16 KiB of gzip that hold 8 million empty tensors, with a bad key and with a good one."""
    before = memory_mib(door, "VmRSS")
    tensors = oip.ModelInferRequest(inputs=[oip.ModelInferRequest.InferInputTensor()] * 2_000_000)
    (code,) = await codes_of(door, tensors, account, 4)
    assert code in {CODE.UNAUTHENTICATED, CODE.RESOURCE_EXHAUSTED}
    assert memory_mib(door, "VmHWM") < before + 100
    assert await asked(door, small) == 2


async def test_long_names_are_refused_and_not_repeated(door: ServiceProcess) -> None:
    """A name of 4.2 million wide letters is too large; one of 300 bytes is told its limit."""
    async with channel_to(door) as channel:
        client = Client(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.stub.ModelMetadata(oip.ModelMetadataRequest(name="\U0001f451" * 4_200_000))
        assert caught.value.code() is CODE.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.send(raw_request(np.ones((1, 8), np.float32), id="i" * 300))
        assert caught.value.details() == "id: expected at most 256 bytes, got 300"


async def test_malformed_calls_are_counted_and_leave_no_trace(door: ServiceProcess) -> None:
    """INVALID_ARGUMENT or UNIMPLEMENTED; nothing of them reaches the log."""
    before = door.log.stat().st_size
    async with channel_to(door) as channel:
        for path in (INFER, b"/inference.GRPCInferenceService/ModelMetadata", WATCH):
            call = channel.unary_stream(path.decode())(
                b"\xff" * 5000, metadata=(("authorization", "Bearer key-of-alice"),)
            )
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
            assert caught.value.code() is CODE.INVALID_ARGUMENT
    with RawHttp2(door.address) as raw:
        for path in (b"/\xff\xfe", b"/inference.GRPCInferenceService/Nothing"):
            assert b"Method not found" in raw.read_until(HEADERS, raw.begin(path))
    assert "Traceback" not in door.log.read_text()
    # A line for each call, and one of an earlier call at most: a seventh of what was sent.
    assert door.log.stat().st_size < before + 2000
    handled = door.metric("grpc_server_handled_total", grpc_code="INVALID_ARGUMENT")
    assert handled >= 3
    assert door.metric("grpc_server_handled_total", grpc_code="UNKNOWN") == 0
    assert door.metric("queen_unknown_methods_total") == 2


async def test_a_new_client_gets_in_whatever_idle_strangers_hold(
    small: SmallBundle, tmp_path: Path
) -> None:
    """1,100 silent connections to a process that began with 1,024 descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        with running(small, tmp_path) as door, ExitStack() as held:
            # For the test, which has both ends of its connections.
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            for _ in range(1100):
                held.enter_context(socket.create_connection(("127.0.0.1", door.port)))
            assert await asked(door, small) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_connection_without_calls_is_closed(small: SmallBundle, tmp_path: Path) -> None:
    """After `idle_seconds`; its client connects again when it has something to ask."""
    with running(small, tmp_path, idle_seconds=1) as door:
        with RawHttp2(door.address) as raw:
            await asyncio.to_thread(raw.read_to_end)
        assert await asked(door, small) == 2


def test_a_drain_waits_for_no_watcher(small: SmallBundle, tmp_path: Path) -> None:
    """SIGTERM with watchers that take no bytes: a clean exit within the grace."""
    with running(small, tmp_path, health_port=0) as door, ExitStack() as held:
        request = health_pb2.HealthCheckRequest().SerializeToString()
        for address in (door.address, door.addresses["health"]) * 8:
            raw = held.enter_context(RawHttp2(address, window=0))
            raw.send(raw.begin(WATCH), request)
        eventually(lambda: door.metric("queen_calls_in_work") == 16)
        assert door.drain(seconds=GRACE_SECONDS + 10) == 0
        assert "stopping took too long" not in door.log.read_text()
