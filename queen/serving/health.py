"""grpc.health.v1 for the process and each of its services.

Nothing here waits for a caller: a state is published by replacing the one value that each watcher
is to be told next, and each watcher's stream tells it when its caller reads.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from queen.wire import require_short

_READ_SECONDS = 0.5
"""Time that a watcher gets to read the last state."""
PROCESS = ""
"""Health name of the process."""
MOST_WATCHERS = 128
"""Watch streams at once, of all callers; each holds a task.

A newcomer ends the oldest one of the host that has most. So one host cannot keep the others out,
and whoever watched in earnest watches again.
"""
SERVING = HealthCheckResponse.SERVING
NOT_SERVING = HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = HealthCheckResponse.SERVICE_UNKNOWN


class _Watcher:
    """A Watch stream: the newest state that it has not sent yet."""

    def __init__(self, name: str, state: int, context: Any) -> None:
        self.name = name
        self.host = str(context.peer()).rpartition(":")[0]
        self._newest: int | None = state
        self._context = context
        self._has_news = asyncio.Event()
        self._has_news.set()
        self._is_over = False
        self._is_sending = False

    def offer(self, state: int) -> None:
        """Have the stream send a state next, instead of one that it has not sent."""
        self._newest = state
        self._has_news.set()

    def end(self) -> None:
        """End the stream once it has sent the newest state, or soon if its caller reads none."""
        self._is_over = True
        self._has_news.set()
        asyncio.get_running_loop().call_later(_READ_SECONDS, self._drop_unread)

    def drop(self) -> None:
        """End the stream at once, whatever its caller has read."""
        self._context.drop()

    def _drop_unread(self) -> None:
        if self._is_sending:
            self.drop()

    async def states(self) -> AsyncIterator[int]:
        """The states to send, each unlike the one before."""
        sent: int | None = None
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            newest, self._newest = self._newest, None
            if newest is not None and newest != sent:
                sent, self._is_sending = newest, True
                yield newest
                self._is_sending = False
            elif self._is_over:
                return
            if self._is_over:
                self._has_news.set()


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # no types there
    """Check and Watch over named states: "" is the process, a full service name is readiness.

    States may be published from any thread. Watch streams end once the server has drained;
    otherwise they would delay the exit for the whole grace period.
    """

    def __init__(self) -> None:
        self._states: dict[str, bool] = {}
        # A tuple, replaced as a whole: a publisher in another thread reads a whole one.
        self._watchers: tuple[_Watcher, ...] = ()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.is_draining = False
        self._is_over = False

    def is_serving(self, name: str) -> bool:
        """Whether `name` is set to serving and the process does not drain."""
        return self._states.get(name, False) and not self.is_draining

    def set_serving(self, name: str, *, serving: bool) -> None:
        """Publish the state of `name`; from any thread, and without waiting for any watcher."""
        with self._lock:
            if self._states.get(name) is serving:
                return
            self._states[name] = serving
            watchers, loop = self._watchers, self._loop
        if loop is not None and watchers:
            loop.call_soon_threadsafe(self._tell, watchers, name)

    def begin(self, names: Iterable[str]) -> None:
        """Publish SERVING for the process and for every name whose state is not set yet."""
        for name in (PROCESS, *names):
            if name not in self._states:
                self.set_serving(name, serving=True)

    def drain(self) -> None:
        """Publish NOT_SERVING for all names, for good."""
        self.is_draining = True
        for name in list(self._states):
            self._tell(self._watchers, name)

    def end_watches(self) -> None:
        """End all Watch streams, those that nobody reads as well, and those that begin later."""
        self._is_over = True
        for watcher in self._watchers:
            watcher.end()

    async def Check(self, request: HealthCheckRequest, context: Any) -> HealthCheckResponse:  # noqa: N802 - RPC
        """The state of a name; NOT_FOUND for an unknown one."""
        require_short(request.service, "service")
        state = self._state(request.service)
        if state == SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return HealthCheckResponse(status=state)

    async def Watch(  # noqa: N802 - RPC
        self, request: HealthCheckRequest, context: Any
    ) -> AsyncIterator[HealthCheckResponse]:
        """Stream the states of a name, until the server has drained."""
        require_short(request.service, "service")
        if len(self._watchers) >= MOST_WATCHERS:
            self._drop_oldest()
        with self._lock:
            self._loop = asyncio.get_running_loop()
            watcher = _Watcher(request.service, self._state(request.service), context)
            self._watchers = (*self._watchers, watcher)
        if self._is_over:
            watcher.end()
        try:
            async for state in watcher.states():
                yield HealthCheckResponse(status=state)
        finally:
            self._forget(watcher)

    def _drop_oldest(self) -> None:
        """End the oldest stream of the host that has most."""
        hosts = Counter(watcher.host for watcher in self._watchers)
        most, _ = hosts.most_common(1)[0]
        oldest = next(watcher for watcher in self._watchers if watcher.host == most)
        self._forget(oldest)
        oldest.drop()

    def _forget(self, watcher: _Watcher) -> None:
        with self._lock:
            self._watchers = tuple(other for other in self._watchers if other is not watcher)

    def _tell(self, watchers: Iterable[_Watcher], name: str) -> None:
        for watcher in watchers:
            if watcher.name == name:
                watcher.offer(self._state(name))

    def _state(self, name: str) -> int:
        if name not in self._states:
            return int(SERVICE_UNKNOWN)
        return int(SERVING if self.is_serving(name) else NOT_SERVING)


def add_health(health: Health, server: Any) -> None:
    """Serve the health of a process on a server."""
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
