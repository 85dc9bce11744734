"""A gRPC server that no caller can end, whose calls begin in turn and can be dropped.

The asyncio server of gRPC decodes the path of each call in its main loop. A path that is no
UTF-8 ends that loop, and with it the server. This server is given every call under the name that
its method was registered with, so it never decodes a path.

gRPC's server also begins calls in the order in which they came, those that were given up included.
This server takes over calls at once and begins them by share in turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined] # no types there

from queen.serving.edge.header_count import HeaderCount
from queen.serving.edge.patience import Outcome
from queen.serving.edge.turns import Turns
from queen.serving.edge.wakeups import read_all_wakeups

_UNKNOWN = "an unknown method"
STRANGER = ""
"""The share of callers without a credential."""
_REFUSED = "too many calls wait to begin; retry after a delay, or send fewer at once"
_ACCEPTED_AT_ONCE = 16
"""Calls of a method that gRPC may hand over in one turn of the event loop.

These are more than begin in one turn: so no call waits where nobody knows whose it is.
"""


class Admitted(Protocol):
    """The caller of a call, as its headers tell."""

    @property
    def share(self) -> str | None:
        """Whose share of the server the call has; None for a caller that is trusted."""


Admission = Callable[[Any], Admitted]
"""The caller as far as it is known, by the context of its call; it raises nothing."""


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
    admitted: Any = None
    """The result of its method's admission; None for a method that has none."""
    outcome: Outcome = "given_up"

    def drop(self) -> None:
        """End the call for its caller."""
        if self.task is not None:
            self.task.cancel()


@dataclass(frozen=True)
class Counts:
    """Called for each call that is not served, by the reason: an unknown method, for instance."""

    unknown: Callable[[], None] = lambda: None
    gave_way: Callable[[], None] = lambda: None
    too_many_fields: Callable[[], None] = lambda: None


_CURRENT: ContextVar[Rpc] = ContextVar("rpc")


def current_rpc() -> Rpc | None:
    """The call in which this is asked; None outside of a call of a `GrpcServer`."""
    return _CURRENT.get(None)


@dataclass(frozen=True)
class _Method:
    """A method: it gives its own handler, whatever path a call names."""

    name: str
    handler: Any = None
    admission: Admission | None = None

    def resolve_handler(self, _details: object) -> Any:
        return self.handler


@dataclass(frozen=True)
class _Arrival:
    """A call that has come. Once nothing refers to its state any more, gRPC cancels it."""

    method: _Method
    state: Any
    rpc: Rpc
    share: str | None


class _CallServer(cygrpc.AioServer):  # type: ignore[misc]
    """gRPC's asyncio server, with loops of its own for each method.

    The loops stand where gRPC asks for the next call. They never return one, so that gRPC's main
    loop, which decodes paths, has nothing to do.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        options: Sequence[tuple[str, Any]],
        counts: Counts,
    ) -> None:
        super().__init__(loop, None, (), (), tuple(options), None)
        self._event_loop = loop
        self._counts = counts
        self._methods: dict[bytes, _Method] = {}
        self._turns = Turns[_Arrival](self._begin, self._refuse, loop)
        self._calls: set[asyncio.Task[None]] = set()
        self._header_count = HeaderCount()

    def add_methods(self, methods: Sequence[_Method]) -> None:
        self._methods |= {method.name.encode(): method for method in methods}
        self.add_registered_method_handlers({method.name: method.handler for method in methods})

    async def _request_registered_call(self, path: bytes) -> None:
        await asyncio.gather(*(self._accept(path) for _ in range(_ACCEPTED_AT_ONCE)))

    async def _accept(self, path: bytes) -> None:
        method = self._methods[path]
        while True:
            self._arrive(method, await super()._request_registered_call(path))

    async def _request_call(self) -> None:
        unknown = _Method(_UNKNOWN)
        while True:
            state = await super()._request_call()
            self._counts.unknown()
            self._arrive(unknown, state)

    def _arrive(self, method: _Method, state: Any) -> None:
        rpc, share = Rpc(), STRANGER
        context = cygrpc._ServicerContext(state, None, None, self._event_loop)  # noqa: SLF001, RUF100
        if not self._header_count.is_within(state, context.invocation_metadata):
            # No status is sent: gRPC would keep the fields until the garbage collector runs. Since
            # nothing refers to the call any more, gRPC cancels it and frees them.
            self._counts.too_many_fields()
            return
        if method.admission is not None:
            rpc.admitted = method.admission(context)
            share = rpc.admitted.share
        self._turns.append(share, _Arrival(method, state, rpc, share))

    def _begin(self, arrival: _Arrival) -> None:
        rpc, method, loop = arrival.rpc, arrival.method, self._event_loop
        state, name = arrival.state, method.name
        work = _in_call(rpc, cygrpc._handle_rpc(name, method, (), state, loop, False))  # noqa: SLF001, FBT003, RUF100 - see the module
        rpc.task = loop.create_task(cygrpc._schedule_rpc_coro(work, state, loop, name))  # noqa: SLF001, RUF100
        self._calls.add(rpc.task)
        rpc.task.add_done_callback(partial(self._ended, arrival))

    def _refuse(self, arrival: _Arrival) -> None:
        self._counts.gave_way()
        task = self._event_loop.create_task(self._tell_refused(arrival.state))
        self._calls.add(task)
        task.add_done_callback(self._over)

    async def _tell_refused(self, state: Any) -> None:
        context = cygrpc._ServicerContext(state, None, None, self._event_loop)  # noqa: SLF001, RUF100
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, _REFUSED)

    def _ended(self, arrival: _Arrival, task: asyncio.Task[None]) -> None:
        self._turns.end(arrival.share, arrival.rpc.outcome)
        self._over(task)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._calls.discard(task)
        if not task.cancelled():
            # Read, or asyncio would log it: the call is over, whatever gRPC says of its end.
            task.exception()


async def _in_call(rpc: Rpc, work: Any) -> None:
    """Do the work of a call in a context that knows the call."""
    _CURRENT.set(rpc)
    try:
        await work
        rpc.outcome = "answered"
    except cygrpc.ExecuteBatchError:
        # The caller gave up before all of the answer was sent. gRPC would log a stack for each.
        pass
    except Exception:
        rpc.outcome = "refused"
        raise
    finally:
        for callback in rpc.when_over:
            callback()
        rpc.when_over.clear()


class GrpcServer:
    """A `grpc.aio.Server` for methods that are registered by name.

    Pass it where the generated `add_..._to_server` functions expect a server. Any other method is
    UNIMPLEMENTED, and counted.
    """

    def __init__(self, options: Sequence[tuple[str, Any]], counts: Counts = Counts()) -> None:
        loop = cygrpc.get_working_loop()
        self._server = _CallServer(loop, options, counts)
        read_all_wakeups(loop)

    def add_registered_method_handlers(
        self,
        service: str,
        handlers: Mapping[str, Any],
        admissions: Mapping[str, Admission] = MappingProxyType({}),
    ) -> None:
        """Serve the methods of a service; `handlers` and `admissions` are by the method's own name.

        Calls of methods without an admission share their turns.
        """
        self._server.add_methods(
            [
                _Method(f"/{service}/{name}", handler, admissions.get(name))
                for name, handler in handlers.items()
            ]
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
