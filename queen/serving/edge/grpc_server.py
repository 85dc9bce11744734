"""A gRPC server that no caller can end, and whose calls can be dropped.

The asyncio server of gRPC decodes the path of each call in its main loop. A path that is no
UTF-8 ends that loop, and with it the server. This server is given every call under the name that
its method was registered with, so it never decodes a path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined] # no types there

_UNKNOWN = "an unknown method"


@dataclass(eq=False, slots=True)
class Rpc:
    """A call as this server holds it."""

    task: asyncio.Task[None] | None = None
    """The task that owns the call: its end drops the call."""
    when_over: list[Callable[[], None]] = field(default_factory=list)
    """Called once the answer is sent, or the call has failed.

    gRPC has such callbacks too. But they refer to the call that refers to them, so a call that is
    dropped would last until the garbage collector finds it.
    """

    def drop(self) -> None:
        """End the call for its caller."""
        if self.task is not None:
            self.task.cancel()


_CURRENT: ContextVar[Rpc] = ContextVar("rpc")


def current_rpc() -> Rpc | None:
    """The call in which this is asked; None outside of a call of a `GrpcServer`."""
    return _CURRENT.get(None)


class _Resolver:
    """Finds the handler of one method, whatever path the call names."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler

    def resolve_handler(self, _details: object) -> Any:
        return self._handler


class _CallServer(cygrpc.AioServer):  # type: ignore[misc]
    """gRPC's asyncio server, with a loop of its own for each method.

    The loops stand where gRPC asks for the next call. They never return one, so that gRPC's main
    loop, which decodes paths, has nothing to do.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: Sequence[tuple[str, Any]],
        count_unknown: Callable[[], None],
    ) -> None:
        super().__init__(loop, None, (), (), tuple(options), None)
        self._event_loop = loop
        self._count_unknown = count_unknown
        self._methods: dict[bytes, tuple[str, _Resolver]] = {}
        self._calls: set[asyncio.Task[None]] = set()

    def add_registered_method_handlers(self, handlers: Mapping[str, Any]) -> None:
        for name, handler in handlers.items():
            self._methods[name.encode()] = (name, _Resolver(handler))
        super().add_registered_method_handlers(handlers)

    async def _request_registered_call(self, method: bytes) -> None:
        name, resolver = self._methods[method]
        while True:
            self._begin(name, resolver, await super()._request_registered_call(method))

    async def _request_call(self) -> None:
        unknown = _Resolver(None)
        while True:
            state = await super()._request_call()
            self._count_unknown()
            self._begin(_UNKNOWN, unknown, state)

    def _begin(self, name: str, resolver: _Resolver, state: Any) -> None:
        rpc, loop = Rpc(), self._event_loop
        work = _in_call(rpc, cygrpc._handle_rpc(name, resolver, (), state, loop, False))  # noqa: SLF001, FBT003, RUF100 - see the module
        rpc.task = loop.create_task(cygrpc._schedule_rpc_coro(work, state, loop, name))  # noqa: SLF001, RUF100
        self._calls.add(rpc.task)
        rpc.task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            # Read, or asyncio would log it: the call is over, whatever gRPC says of its end.
            task.exception()


async def _in_call(rpc: Rpc, work: Any) -> None:
    """Do the work of a call in a context that knows the call."""
    _CURRENT.set(rpc)
    try:
        await work
    finally:
        for callback in rpc.when_over:
            callback()
        rpc.when_over.clear()


class GrpcServer:
    """A `grpc.aio.Server` for methods that are registered by name.

    Pass it where the generated `add_..._to_server` functions expect a server. Any other method is
    UNIMPLEMENTED, and counted.
    """

    def __init__(
        self, options: Sequence[tuple[str, Any]], count_unknown: Callable[[], None] = lambda: None
    ) -> None:
        self._server = _CallServer(cygrpc.get_working_loop(), options, count_unknown)

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Serve the methods of a service; `handlers` are by the method's own name."""
        self._server.add_registered_method_handlers(
            {f"/{service}/{name}": handler for name, handler in handlers.items()}
        )

    def add_insecure_port(self, address: str) -> int:
        """Bind a port in plain text and return its number; RuntimeError if that fails."""
        return self._bound(address, self._server.add_insecure_port(address.encode()))

    def add_secure_port(self, address: str, credentials: grpc.ServerCredentials) -> int:
        """Bind a port with TLS and return its number; RuntimeError if that fails."""
        return self._bound(address, self._server.add_secure_port(address.encode(), credentials))

    async def start(self) -> None:
        """Accept calls."""
        await self._server.start()

    async def stop(self, grace: float | None) -> None:
        """Accept no more calls, and end those in flight after `grace` seconds, or now."""
        await self._server.shutdown(grace)

    def _bound(self, address: str, port: int) -> int:
        if port == 0:
            raise RuntimeError(f"cannot bind {address}")
        return port
