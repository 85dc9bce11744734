"""The server itself; tests/unit/serving/test_interceptors.py has what it does with calls."""

from __future__ import annotations

import asyncio
import gc

import grpc
import pytest

from queen.serving.edge.calls import Call
from queen.serving.edge.grpc_server import GrpcServer, current_rpc


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
