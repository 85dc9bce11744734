"""gRPC's events reach the event loop as they come."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from concurrent.futures import ThreadPoolExecutor

import grpc

from queen.serving.edge.grpc_server import GrpcServer
from queen.serving.edge.wakeups import read_all_wakeups
from tests.waiting import eventually

CALLS = 50


def unread(wakeups: int) -> int:
    """Bytes that wait in a socket."""
    (waiting,) = struct.unpack("i", fcntl.ioctl(wakeups, termios.FIONREAD, b"\0" * 4))
    return int(waiting)


async def test_no_wakeup_is_left_over() -> None:
    """All that were written while the loop was busy; each would cost a turn of the loop."""
    server = grpc.server(ThreadPoolExecutor(1))
    handler = grpc.unary_unary_rpc_method_handler(lambda _request, _context: b"")
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("toy", {"Play": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = channel.unary_unary("/toy/Play")
        assert await method(b"") == b""
        wakeups = read_all_wakeups(asyncio.get_running_loop())
        assert wakeups is not None
        calls = [method(b"") for _ in range(CALLS)]
        await asyncio.sleep(0)
        eventually(lambda: unread(wakeups) >= CALLS)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert unread(wakeups) == 0
        assert await asyncio.gather(*calls) == [b""] * CALLS
    server.stop(None)


async def test_the_reader_is_found_once() -> None:
    """A second server of a process changes nothing more."""
    GrpcServer([])
    assert read_all_wakeups(asyncio.get_running_loop()) is None


def test_another_event_loop_is_left_alone() -> None:
    """It may keep its readers elsewhere."""

    class Other(asyncio.BaseEventLoop):
        pass

    assert read_all_wakeups(Other()) is None
