"""A TCP proxy between two of our processes that can do what networks do."""

from __future__ import annotations

import asyncio
import math
import random
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

LOOPBACK = "127.0.0.1"
T = TypeVar("T")
_PIECE_BYTES = 65_536
_POLL_SECONDS = 0.005
_QUEUED_PIECES = 64
"""Pieces under way in one direction; then nothing is read, and the sender is held up."""


@dataclass(frozen=True)
class Faults:
    """Faults of the bytes that pass; without an argument, none.

    `delay_seconds` is that of each direction, so a round trip is twice as long, and
    `reset_chance` that of each piece of up to 64 KiB. Held bytes wait, and are passed on
    once the fault is cleared, as after a partition that has healed.
    """

    delay_seconds: float = 0.0
    bytes_per_second: float = math.inf
    reset_chance: float = 0.0
    hold_requests: bool = False
    hold_answers: bool = False
    refuse: bool = False


HALF_OPEN = Faults(hold_requests=True, hold_answers=True)
"""Connections are accepted, and no byte ever passes."""


class ProxyLoop:
    """The thread in which proxies run, beside the test's own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)

    def __enter__(self) -> ProxyLoop:
        """Start it."""
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """End it, with the tasks that still run in it."""
        self.run(_cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)


class FaultProxy:
    """Listens on a port of its own and passes on to `upstream_port`, as long as it is let.

    All methods may be called from any thread, while connections are open. `seed` decides
    where connections are reset.
    """

    def __init__(self, loop: ProxyLoop, upstream_port: int, seed: int = 0) -> None:
        self.faults = Faults()
        self.upstream_port = upstream_port
        self.connections = 0
        self.resets = 0
        self.random = random.Random(seed)  # noqa: S311 - where to break, not a secret
        self._loop = loop
        self._lines: set[_Line] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        loop.run(self._listen())

    def set(self, faults: Faults) -> None:
        """Begin these faults, on open connections too."""
        self._loop.run(self._set(faults))

    def clear(self) -> None:
        """Pass everything on again, held bytes first."""
        self.set(Faults())

    def point_at(self, upstream_port: int) -> None:
        """Pass on to another server from now on; open connections are reset."""
        self.upstream_port = upstream_port
        self._loop.run(self._reset_all())

    def close(self) -> None:
        """Stop listening, and reset the open connections."""
        self._loop.run(self._close())

    async def _set(self, faults: Faults) -> None:
        self.faults = faults
        if faults.refuse:
            await self._close()
        elif self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._reset_all()

    async def _reset_all(self) -> None:
        for line in tuple(self._lines):
            line.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        line = _Line(self, writer)
        self._lines.add(line)
        try:
            await line.run(reader)
        finally:
            line.reset()
            self._lines.discard(line)


class _Line:
    """A connection through the proxy."""

    def __init__(self, proxy: FaultProxy, caller: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._writers = [caller]
        self._ended = asyncio.Event()

    async def run(self, caller: asyncio.StreamReader) -> None:
        """Pass bytes both ways until one side ends, or something breaks."""
        try:
            upstream, writer = await asyncio.open_connection(LOOPBACK, self._proxy.upstream_port)
        except OSError:
            return
        self._writers.append(writer)
        work = [
            asyncio.create_task(self._pump(caller, writer, is_request=True)),
            asyncio.create_task(self._pump(upstream, self._writers[0], is_request=False)),
            asyncio.create_task(self._ended.wait()),
        ]
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    def reset(self) -> None:
        """End both halves with RST, as a machine that knows nothing of the connection does."""
        self._ended.set()
        for writer in self._writers:
            end = writer.get_extra_info("socket")
            if not writer.transport.is_closing() and end is not None:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_request: bool
    ) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUED_PIECES)
        sending = asyncio.create_task(self._send(queue, writer, is_request=is_request))
        loop = asyncio.get_running_loop()
        try:
            while piece := await reader.read(_PIECE_BYTES):
                await queue.put((loop.time() + self._proxy.faults.delay_seconds, piece))
            await queue.put((loop.time() + self._proxy.faults.delay_seconds, b""))
            await sending
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send(
        self,
        queue: asyncio.Queue[tuple[float, bytes]],
        writer: asyncio.StreamWriter,
        *,
        is_request: bool,
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, piece = await queue.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            while self._holds(is_request):
                await asyncio.sleep(_POLL_SECONDS)
            if not piece:
                return
            faults = self._proxy.faults
            if self._proxy.random.random() < faults.reset_chance:
                # Not between two messages: in the middle of one.
                writer.write(piece[: self._proxy.random.randrange(len(piece))])
                self._proxy.resets += 1
                self.reset()
                return
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(len(piece) / faults.bytes_per_second)

    def _holds(self, is_request: bool) -> bool:
        faults = self._proxy.faults
        return faults.hold_requests if is_request else faults.hold_answers


async def _cancel_all() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
