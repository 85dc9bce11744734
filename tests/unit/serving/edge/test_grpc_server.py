"""The server itself; tests/unit/serving/test_interceptors.py has what it does with calls."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path
from typing import Any

import grpc
import pytest

from queen.serving.edge import turns
from queen.serving.edge.calls import Call
from queen.serving.edge.grpc_server import Counts, GrpcServer, current_rpc
from queen.serving.edge.header_count import MOST_FIELDS
from tests.raw_http2 import DATA, HEADERS, RESET, RawHttp2


async def test_a_port_in_use_is_an_error() -> None:
    """And not a server that nobody reaches."""
    first, second = (GrpcServer([("grpc.so_reuseport", 0)]) for _ in range(2))
    port = first.add_insecure_port("127.0.0.1:0")
    with pytest.raises(RuntimeError):
        second.add_insecure_port(f"127.0.0.1:{port}")


async def test_a_call_can_be_dropped() -> None:
    """Its caller hears of the end at once; outside of a call there is none."""
    calls: list[Call] = []
    entered = asyncio.Event()

    async def play(_messages: object, _context: object) -> bytes:
        calls.append(Call(None, asyncio.current_task(), current_rpc()))
        entered.set()
        await asyncio.Event().wait()
        return b""

    gc.disable()
    server = GrpcServer([])
    handler = grpc.stream_unary_rpc_method_handler(play)
    server.add_registered_method_handlers("toy", {"Play": handler})
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/toy/Play")(b"")
        await entered.wait()
        calls[0].drop("unread_answer")
        with pytest.raises(grpc.aio.AioRpcError):
            await call
    await server.stop(None)
    gc.enable()
    assert current_rpc() is None


async def test_calls_beyond_those_that_may_wait_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the code that clients retry after a delay, and counted; the others are answered."""
    monkeypatch.setattr(turns, "MOST_WAITING", 2)
    gave_way: list[None] = []

    async def play(_messages: object, _context: object) -> bytes:
        return b""

    server = GrpcServer([], Counts(gave_way=lambda: gave_way.append(None)))
    handler = grpc.stream_unary_rpc_method_handler(play)
    server.add_registered_method_handlers("toy", {"Play": handler})
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = channel.unary_unary("/toy/Play")
        ends = await asyncio.gather(*(method(b"") for _ in range(64)), return_exceptions=True)
    await server.stop(None)
    refused = [end for end in ends if isinstance(end, grpc.aio.AioRpcError)]
    assert {error.code() for error in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert 0 < len(refused) == len(gave_way) < 64
    assert ends.count(b"") == 64 - len(refused)


async def test_a_call_with_too_many_header_fields_is_dropped_unread() -> None:
    """Fields of one byte each, which gRPC does not bound; its memory is free at once."""
    dropped: list[None] = []
    admitted: list[int] = []

    class Stranger:
        share = ""

    def admit(context: Any) -> Stranger:
        admitted.append(len(context.invocation_metadata()))
        return Stranger()

    async def play(_messages: object, _context: object) -> bytes:
        return b""

    server = GrpcServer([], Counts(too_many_fields=lambda: dropped.append(None)))
    handler = grpc.stream_unary_rpc_method_handler(play)
    server.add_registered_method_handlers("toy", {"Play": handler}, {"Play": admit})
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    def attack() -> None:
        with RawHttp2(f"127.0.0.1:{port}") as connection:
            for _ in range(60):
                stream = connection.begin(b"/toy/Play", references=16_000)
                connection.read_until(RESET, stream)
            stream = connection.begin(b"/toy/Play", references=MOST_FIELDS - 20)
            connection.read_until(HEADERS, stream)
            connection.read_until(DATA, stream)

    before = resident_bytes()
    gc.disable()
    await asyncio.to_thread(attack)
    grown = resident_bytes() - before
    gc.enable()
    await server.stop(None)
    assert len(dropped) == 60
    assert len(admitted) == 1
    assert admitted[0] <= MOST_FIELDS
    # 60 of them would be 150 MB.
    assert grown < 100e6


def resident_bytes() -> int:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")
