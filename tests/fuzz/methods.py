"""The methods of the services in this process: called with bytes, and without a socket.

Everything from the admission of a caller to the bytes of the answer is the services' own: their
wiring, their engines, the edge. Only HTTP/2 is left out, which `live.py` adds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer

from queen.serving.edge.calls import Call, CallLimits, CallsInWork
from queen.serving.edge.terms import Gate, Terms, admit_strangers
from queen.serving.health import Health, add_health
from queen.serving.interceptors import Edge, ObservedServer
from queen.serving.metrics import Metrics
from queen.serving.settings import ServiceSettings
from queen.serving.shell import Offer, Shell
from tests.fuzz.problems import Problem

FORBIDDEN = frozenset({"INTERNAL", "UNKNOWN", "DATA_LOSS"})
"""Codes that no bytes of a caller may cause."""
LONGEST_SECONDS = 10.0
"""Time after which a call hangs."""
MOST_STATUS_BYTES = 8000
"""Bytes of a status that every client takes: gRPC's soft limit on headers is 8 KiB."""
_STRANGERS = Terms(admit_strangers)
_ENDLESS = ("Watch", "WatchCrossings")
Metadata = Sequence[tuple[str, str | bytes]]


class Context:
    """A caller of a method: its messages, its metadata, and what it has got."""

    def __init__(self, messages: Iterable[bytes], metadata: Metadata, *, hangs_up: bool) -> None:
        self.answers: list[bytes] = []
        self._messages = iter(messages)
        self._metadata = metadata
        self._hangs_up = hangs_up
        self._code: grpc.StatusCode | None = None
        self.status_bytes = 0

    async def read(self) -> Any:
        """The next message."""
        return next(self._messages, grpc.aio.EOF)  # type: ignore[attr-defined] # the stubs lack it

    async def write(self, data: bytes) -> None:
        """Get a part of a stream; the caller of an endless one has seen enough then."""
        self.answers.append(data)
        if self._hangs_up:
            raise asyncio.CancelledError

    async def send_initial_metadata(self, _metadata: Metadata) -> None:
        """Get the headers of a stream."""
        if self._hangs_up:
            raise asyncio.CancelledError

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()
    ) -> None:
        """Get an error."""
        self._code = code
        self.status_bytes = len(details.encode()) + sum(
            len(value) for _, value in trailing_metadata
        )
        raise grpc.aio.AbortError(details)

    def code(self) -> grpc.StatusCode | None:
        """The status of the call so far."""
        return self._code

    def invocation_metadata(self) -> Metadata:
        """The metadata of the call."""
        return self._metadata

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        """No client certificate."""
        return {}

    def peer(self) -> str:
        """A name for the caller's host."""
        return "ipv4:127.0.0.1:1"

    def time_remaining(self) -> float | None:
        """A deadline that no call comes near."""
        return 3 * LONGEST_SECONDS


class LeftCalls(CallsInWork):
    """Calls in work that the caller leaves, since there is no connection that could tell."""

    def leave_all(self) -> None:
        """The caller has read its answers."""
        for call in self._entered:
            self.leave(call)
        self._entered.clear()

    def enter(self, share: str | None) -> Call:
        """See `CallsInWork`."""
        call = super().enter(share)
        self._entered.append(call)
        return call

    def __post_init__(self) -> None:
        super().__post_init__()
        self._entered: list[Call] = []


class Methods:
    """The methods of one or more services, by their path."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.calls = 0
        self._behaviors: dict[str, Any] = {}
        self._metrics: list[Metrics] = []
        self._in_work: list[LeftCalls] = []

    def add(self, settings: ServiceSettings, shell: Shell, offers: Sequence[Offer]) -> None:
        """Add what a service offers, with health and reflection."""
        self._metrics.append(shell.metrics)
        limits = CallLimits(
            *(settings.max_calls, settings.max_bytes_in_flight, settings.max_message_bytes),
            *(settings.request_seconds, settings.answer_seconds),
        )
        dropped = shell.metrics.dropped
        calls = LeftCalls(
            limits, lambda why: dropped[why].inc(), asyncio.get_running_loop().time, _never
        )
        self._in_work.append(calls)
        for offer in offers:
            offer.add(ObservedServer(self, shell.metrics, Edge(calls, Gate(), offer.terms)))
        strangers = ObservedServer(self, shell.metrics, Edge(calls, Gate(), _STRANGERS))
        add_health(shell.health, strangers)
        names = [*(offer.name for offer in offers), HEALTH, reflection.SERVICE_NAME]
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            ReflectionServicer(names), strangers
        )
        shell.health.begin(names)

    def add_registered_method_handlers(
        self, service: str, handlers: Mapping[str, Any], _admissions: object
    ) -> None:
        """Add methods as a server does; of two services of a name the first is called.

        Without a server each method admits its callers itself.
        """
        for name, handler in handlers.items():
            path = f"/{service}/{name}"
            if path not in self._behaviors:
                self._behaviors[path] = handler.stream_unary or handler.stream_stream
                self.paths.append(path)

    async def call(self, path: str, messages: Iterable[bytes], metadata: Metadata = ()) -> str:
        """The name of the code with which a call ends; Problem if it should not end so."""
        is_endless = path.rpartition("/")[2] in _ENDLESS
        context = Context(messages, metadata, hangs_up=is_endless)
        self.calls += 1
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await self._behaviors[path](None, context)
            code = "OK"
        except grpc.aio.AbortError:
            ended = context.code()
            code = ended.name if ended else "UNKNOWN"
        except asyncio.CancelledError:
            if not is_endless:
                raise Problem(f"CANCELLED from {path}, by nobody") from None
            code = "OK"
        except TimeoutError:
            raise Problem(f"hang in {path}: no end after {LONGEST_SECONDS:.0f} s") from None
        finally:
            for calls in self._in_work:
                calls.leave_all()
        if code in FORBIDDEN:
            raise Problem(f"{code} from {path}")
        if context.status_bytes > MOST_STATUS_BYTES:
            raise Problem(f"status of {context.status_bytes} bytes from {path}")
        return code

    def require_counted(self) -> None:
        """Problem if the metrics have not counted each call once, or something is still held."""
        handled = sum(
            sample.value
            for metrics in self._metrics
            for family in metrics.calls.collect()
            for sample in family.samples
            if sample.name.endswith("_total")
        )
        if handled != self.calls:
            raise Problem(f"uncounted: {self.calls} calls, and the metrics say {handled:.0f}")
        if any(len(calls) or calls.held for calls in self._in_work):
            raise Problem("held: calls or bytes that are over are still in work")


def _never(_seconds: float, _callback: object) -> None:
    """Nothing is swept: no caller is slow here."""


@asynccontextmanager
async def opened(methods: Methods, settings: ServiceSettings, wiring: Any) -> AsyncIterator[None]:
    """A service, opened by its own wiring, with its methods added."""
    shell = Shell(Metrics(), Health())
    service: AbstractAsyncContextManager[Sequence[Offer]] = wiring(settings, shell)
    async with service as offers:
        methods.add(settings, shell, list(offers))
        yield
