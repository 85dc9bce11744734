"""Wraps every RPC: errors become statuses, calls are counted, failures are logged.

The behavior of each method is wrapped once, when its servicer is added to the server. A
`grpc.aio.ServerInterceptor` would do the same work again on every call, since it is asked
for the handler each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any

import grpc

from queen.errors import DependencyUnavailable
from queen.serving.logging import logger
from queen.serving.metrics import Metrics
from queen.serving.status import DETAILS_KEY, code_of, refuse, request_id_of

UnaryBehavior = Callable[[Any, Any], Awaitable[Any]]
StreamBehavior = Callable[[Any, Any], Any]
_OK = grpc.StatusCode.OK
_FOR_THE_OPERATOR = (grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS)
"""Codes of failures that callers cannot mend."""
_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


class Gate:
    """Whether new calls are accepted; once it is closed they get UNAVAILABLE.

    Stopping a server at once would cancel the calls that it has received but not begun,
    and clients do not retry CANCELLED.
    """

    def __init__(self) -> None:
        self.is_open = True


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


class ObservedServer:
    """Adds servicers to a `grpc.aio.Server`, with each of their methods wrapped.

    Pass it where the generated `add_..._to_server` functions expect a server.
    """

    def __init__(self, server: grpc.aio.Server, metrics: Metrics, gate: Gate) -> None:
        self._server = server
        self._gate = gate
        self._metrics = metrics

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """Ignore the handlers: the same methods are added as registered methods."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Wrap and add the methods of one service."""
        wrapped = {name: self._wrap(service, name, handler) for name, handler in handlers.items()}
        generic = grpc.method_handlers_generic_handler(service, wrapped)
        self._server.add_generic_rpc_handlers((generic,))

    def _wrap(self, service: str, method: str, handler: Any) -> Any:
        rpc, metrics = f"{service}/{method}", MethodMetrics(self._metrics, service, method)
        if handler.unary_stream is not None:
            stream = observed_stream(handler.unary_stream, rpc, metrics, self._gate)
            return handler._replace(unary_stream=stream)
        # Both kinds answer once; no method of Queen streams both ways.
        kind = "stream_unary" if handler.stream_unary is not None else "unary_unary"
        behavior = observed(getattr(handler, kind), rpc, metrics, self._gate)
        return handler._replace(**{kind: behavior})


def observed(
    behavior: UnaryBehavior, rpc: str, metrics: MethodMetrics, gate: Gate
) -> UnaryBehavior:
    """`behavior` with its outcome counted and its errors sent as google.rpc.Status."""
    log = logger("rpc")
    # The level is checked once: building a line that is not logged would cost time.
    write_access = log.debug if log.is_enabled_for(10) else None

    async def call(request: Any, context: Any) -> Any:
        started = perf_counter()
        try:
            if not gate.is_open:
                raise DependencyUnavailable("the server is shutting down; retry on another")  # noqa: TRY301
            response = await behavior(request, context)
        except asyncio.CancelledError:
            metrics.handled(grpc.StatusCode.CANCELLED, perf_counter() - started)
            raise
        except grpc.aio.AbortError:
            # The behavior chose its own status.
            code = _BY_NUMBER.get(context.code(), grpc.StatusCode.UNKNOWN)
            metrics.handled(code, perf_counter() - started)
            raise
        except Exception as error:  # noqa: BLE001 - the edge: nothing unknown goes past it
            seconds = perf_counter() - started
            metrics.handled(code_of(error), seconds)
            _report(log, rpc, error, seconds)
            await abort(context, error)
        seconds = perf_counter() - started
        metrics.handled(_OK, seconds)
        if write_access is not None:
            write_access("call", rpc=rpc, code="OK", duration_ms=round(1e3 * seconds, 3))
        return response

    return call


def observed_stream(
    behavior: StreamBehavior, rpc: str, metrics: MethodMetrics, gate: Gate
) -> StreamBehavior:
    """`observed` for a behavior that answers many times: its end is its outcome."""

    async def send_all(request: Any, context: Any) -> None:
        async for response in behavior(request, context):
            await context.write(response)

    return observed(send_all, rpc, metrics, gate)


async def abort(context: Any, error: BaseException) -> None:
    """End the call with the status of `error`."""
    refusal = refuse(error)
    await context.abort(
        refusal.code, refusal.message, trailing_metadata=((DETAILS_KEY, refusal.details),)
    )


def _report(log: Any, rpc: str, error: Exception, seconds: float) -> None:
    code = code_of(error)
    is_reported = hasattr(error, "queen_request_id")
    fields = {
        "rpc": rpc,
        "code": code.name,
        "duration_ms": round(1e3 * seconds, 3),
        "request_id": request_id_of(error),
    }
    if code not in _FOR_THE_OPERATOR:
        log.info("call refused", reason=getattr(error, "reason", ""), **fields)
    elif not is_reported:
        # A fault can end all requests of a micro-batch; its stack is logged once.
        log.error("call failed", exc_info=error, **fields)
