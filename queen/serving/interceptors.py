"""Wraps every RPC: callers are admitted, messages bounded, errors sent as statuses, calls counted.

Nothing of a call is read before its caller is admitted, and what is read is bounded. gRPC reads
and parses the message of a call with one request before its handler runs. So every method is
registered as one that takes a stream of bytes, and the wrapper reads the message and parses it.

The behavior of each method is wrapped once, when its servicer is added to the server. A
`grpc.aio.ServerInterceptor` would do the same work again on every call, since it is asked
for the handler each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from queen.errors import (
    BatchTooLarge,
    DeadlineExceeded,
    DependencyUnavailable,
    MalformedMessage,
)
from queen.serving.edge.calls import Call, CallsInWork, gave_way
from queen.serving.edge.fields import plan_of, require_few_fields
from queen.serving.edge.grpc_server import STRANGER, current_rpc
from queen.serving.edge.terms import TRUSTING, Caller, Gate, Terms
from queen.serving.logging import logger
from queen.serving.metrics import Metrics
from queen.serving.status import DETAILS_KEY, code_of, refuse, request_id_of

STRANGERS_MESSAGE_BYTES = 64 * 2**10
"""Largest message of a caller without a credential."""
_OK = grpc.StatusCode.OK
_FOR_THE_OPERATOR = (grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS)
"""Codes of failures that callers cannot mend."""
_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}
_UNCOUNTED_BYTES = 4096
"""Size of a message whose fields are not counted: it cannot hold many."""


class MethodMetrics:
    """The counters of an RPC method, with the series of every code made in advance."""

    def __init__(self, metrics: Metrics, service: str, method: str) -> None:
        self._calls = {
            code: metrics.calls.labels(service, method, code.name) for code in grpc.StatusCode
        }
        self._seconds = metrics.call_seconds.labels(service, method)

    def handled(self, code: grpc.StatusCode, elapsed_seconds: float) -> None:
        """Count a call that ended with `code` after `elapsed_seconds`."""
        self._calls[code].inc()
        self._seconds.observe(elapsed_seconds)


class CallContext:
    """The gRPC context of a call, with the caller that was admitted."""

    __slots__ = ("_context", "call", "caller")

    def __init__(self, context: Any, caller: Any, call: Call) -> None:
        self.caller = caller
        self.call = call
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def drop(self) -> None:
        """End the call at once, though its caller reads nothing."""
        self.call.drop("unread_answer")
        # gRPC ends the call once nothing refers to it any more.
        self._context = None


class ObservedServer:
    """Adds servicers to a server, with each of their methods wrapped.

    Pass it where the generated `add_..._to_server` functions expect a server.
    """

    def __init__(self, server: Any, metrics: Metrics, edge: Edge) -> None:
        self._server = server
        self._metrics = metrics
        self._edge = edge

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """Ignore the handlers: the same methods are added as registered methods."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Wrap and add the methods of one service."""
        served = {name: self._served(service, name, of) for name, of in handlers.items()}
        self._server.add_registered_method_handlers(
            service,
            {name: method.handler for name, method in served.items()},
            {name: method.admit for name, method in served.items()},
        )

    def _served(self, service: str, method: str, handler: Any) -> ServedMethod:
        metrics = MethodMetrics(self._metrics, service, method)
        return ServedMethod(f"{service}/{method}", handler, metrics, self._edge)


@dataclass(frozen=True, slots=True)
class Admitted:
    """The caller of a call, whose share it has, and the error that it ends with if it has one."""

    caller: Caller | None
    share: str | None
    error: Exception | None = None


_TRUSTED = Admitted(None, None)
_UNKNOWN = Admitted(None, STRANGER)
"""A caller that is admitted when the call begins."""


@dataclass(frozen=True)
class Edge:
    """The bounds that the calls of a method keep."""

    calls: CallsInWork
    gate: Gate
    terms: Terms = TRUSTING

    def admit(self, method: str, context: Any) -> Admitted:
        """The caller of a method, if it is soon told; nothing of its message is read."""
        is_quick = self.terms.is_quick
        if is_quick is not None and not is_quick(context):
            return _UNKNOWN
        return self._admit(method, context)

    def _admit(self, method: str, context: Any) -> Admitted:
        if self.terms.admit is None:
            return _TRUSTED
        try:
            caller = self.terms.admit(method, context)
        except Exception as error:  # noqa: BLE001 - the edge: the call ends with it
            return Admitted(None, STRANGER, error)
        if self.terms.is_trusting:
            return Admitted(caller, None)
        return Admitted(caller, STRANGER if caller is None else caller.hash)

    def enter(self, method: str, context: Any, admitted: Admitted) -> CallContext:
        """A call, in work from now on until gRPC is done with it.

        Raises DependencyUnavailable while the server drains, the error of its admission, or
        Overloaded.
        """
        if not self.gate.is_open:
            raise DependencyUnavailable("the server is shutting down; retry on another")
        if admitted is _UNKNOWN:
            admitted = self._admit(method, context)
        if admitted.error is not None:
            raise admitted.error
        return CallContext(context, admitted.caller, self.calls.enter(admitted.share))

    def largest(self, call: Call) -> int:
        """Bytes of the largest message of a call."""
        largest = self.terms.message_bytes or self.calls.limits.message_bytes
        return min(largest, STRANGERS_MESSAGE_BYTES) if call.share == STRANGER else largest


class ServedMethod:
    """A method whose outcomes are counted and whose errors are sent as google.rpc.Status."""

    def __init__(self, rpc: str, handler: Any, metrics: MethodMetrics, edge: Edge) -> None:
        self._rpc = rpc
        self._method = rpc.rpartition("/")[2]
        self._metrics = metrics
        self._edge = edge
        self._calls = edge.calls
        self._is_fed_by_stream = handler.request_streaming
        self._is_answered_by_stream = handler.response_streaming
        self._answer = self._stream if handler.response_streaming else self._respond
        self._behavior = (
            handler.unary_unary
            or handler.unary_stream
            or handler.stream_unary
            or handler.stream_stream
        )
        self._parse = handler.request_deserializer
        self._plan = plan_of(handler.request_deserializer.__self__.DESCRIPTOR)
        self._log = logger("rpc")
        # The level is checked once: building a line that is not logged would cost time.
        self._write_access = self._log.debug if self._log.is_enabled_for(10) else None

    @property
    def handler(self) -> Any:
        """The handler for gRPC: one of a stream of bytes."""
        if self._is_answered_by_stream:
            return grpc.stream_stream_rpc_method_handler(self.serve)
        return grpc.stream_unary_rpc_method_handler(self.serve)

    def admit(self, context: Any) -> Admitted:
        """The caller, asked for when the call has come."""
        return self._edge.admit(self._method, context)

    async def serve(self, _messages: Any, context: Any) -> bytes | None:
        """The bytes of the response; None after the responses of a stream."""
        started = perf_counter()
        entered: CallContext | None = None
        try:
            entered = self._edge.enter(self._method, context, self._admitted(context))
            response = await self._answer(entered)
        except asyncio.CancelledError:
            self._metrics.handled(grpc.StatusCode.CANCELLED, perf_counter() - started)
            raise
        except grpc.aio.AbortError:
            # The behavior chose its own status.
            self._metrics.handled(_code_in(context), perf_counter() - started)
            raise
        except Exception as error:  # noqa: BLE001 - the edge: nothing unknown goes past it
            seconds = perf_counter() - started
            self._metrics.handled(code_of(error), seconds)
            self._report(error, seconds, is_known=entered is not None and bool(entered.caller))
            await abort(context, error)
        seconds = perf_counter() - started
        self._metrics.handled(_OK, seconds)
        if self._write_access is not None:
            duration = round(1e3 * seconds, 3)
            self._write_access("call", rpc=self._rpc, code="OK", duration_ms=duration)
        return response

    def _admitted(self, context: Any) -> Admitted:
        rpc = current_rpc()
        return self.admit(context) if rpc is None else rpc.admitted

    async def _respond(self, context: CallContext) -> bytes:
        response = await self._behavior(await self._request(context), context)
        data: bytes = response.SerializeToString()
        self._calls.sends(context.call, len(data))
        return data

    async def _stream(self, context: CallContext) -> None:
        async with aclosing(self._behavior(await self._request(context), context)) as responses:
            async for response in responses:
                data = response.SerializeToString()
                self._calls.sends(context.call, len(data))
                await context.write(data)
                self._calls.sent(context.call)

    async def _request(self, context: CallContext) -> Any:
        """The request, or an iterator of the requests of a stream."""
        if self._is_fed_by_stream:
            return self._requests(context)
        request = await self._next(context)
        if request is None:
            # gRPC gives none, too, if a message is larger than the port allows.
            raise BatchTooLarge(
                f"expected a message of at most {self._edge.largest(context.call)} bytes, "
                "got none or a larger one"
            )
        return request

    async def _requests(self, context: CallContext) -> AsyncIterator[Any]:
        while (request := await self._next(context)) is not None:
            yield request

    async def _next(self, context: CallContext) -> Any:
        """The next message of a call, bounded and parsed; None at the end."""
        call = context.call
        turn = self._calls.arrives(call)
        try:
            if turn is not None:
                await turn
            data = await context.read()
        except asyncio.CancelledError:
            raise_interrupted(call)
            raise
        if data is grpc.aio.EOF:  # type: ignore[attr-defined] # the stubs lack it
            self._calls.arrived(call, 0)
            return None
        size, largest = len(data), self._edge.largest(call)
        self._calls.arrived(call, size)
        if size > largest:
            raise BatchTooLarge(f"expected a message of at most {largest} bytes, got {size}")
        if size > _UNCOUNTED_BYTES:
            require_few_fields(data, self._plan, self._edge.terms.fields)
        try:
            return self._parse(data)
        except DecodeError as error:
            raise MalformedMessage("expected a message of this method, got other bytes") from error

    def _report(self, error: Exception, seconds: float, *, is_known: bool) -> None:
        code = code_of(error)
        is_reported = hasattr(error, "queen_request_id")
        fields = {
            "rpc": self._rpc,
            "code": code.name,
            "duration_ms": round(1e3 * seconds, 3),
            "request_id": request_id_of(error),
        }
        if code not in _FOR_THE_OPERATOR:
            # A stranger's mistakes come at any rate: the metrics count them.
            is_strangers = self._edge.terms.admit is not None and not is_known
            write = self._log.debug if is_strangers else self._log.info
            write("call refused", reason=getattr(error, "reason", ""), **fields)
        elif code is not grpc.StatusCode.INTERNAL:
            self._log.error("call failed", reason=getattr(error, "reason", ""), **fields)
        elif not is_reported:
            # A fault can end all requests of a micro-batch; its stack is logged once.
            self._log.error("call failed", exc_info=error, **fields)


async def abort(context: Any, error: BaseException) -> None:
    """End the call with the status of `error`."""
    refusal = refuse(error)
    await context.abort(
        refusal.code, refusal.message, trailing_metadata=((DETAILS_KEY, refusal.details),)
    )


def raise_interrupted(call: Call) -> None:
    """Raise the error of a call whose wait for its message was ended by the server."""
    if call.is_dropped is None:
        return
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
    if call.is_dropped == "slow_request":
        raise DeadlineExceeded("the message took too long to arrive; retry with a faster link")
    raise gave_way()


def _code_in(context: Any) -> grpc.StatusCode:
    """The status that a behavior chose."""
    code = context.code()
    return code if isinstance(code, grpc.StatusCode) else _BY_NUMBER.get(code, _OK)
