"""Counts, statuses and log lines around every RPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import structlog
from google.rpc import status_pb2
from structlog.testing import capture_logs

from queen.errors import InvalidQuery, LedgerCorrupt
from queen.serving.interceptors import Gate, MethodMetrics, observed, observed_stream
from queen.serving.metrics import Metrics
from queen.serving.status import DETAILS_KEY, reason_in


class Aborted(Exception):
    """The end of a call that was aborted."""


class Context:
    """The part of a gRPC context that is used here."""

    def __init__(self) -> None:
        self.aborted: tuple[grpc.StatusCode, str, Any] | None = None
        self.written: list[object] = []

    async def abort(self, code: grpc.StatusCode, details: str, trailing_metadata: Any) -> None:
        """End the call."""
        self.aborted = (code, details, trailing_metadata)
        raise Aborted

    async def write(self, response: object) -> None:
        """Send a response of a stream."""
        self.written.append(response)


class Watched:
    """A method with its counters."""

    def __init__(self) -> None:
        structlog.reset_defaults()
        self.metrics = Metrics()
        self.gate = Gate()
        self.method = MethodMetrics(self.metrics, "toy", "Play")

    def calls(self, code: str) -> float | None:
        """Calls that ended with a code."""
        labels = {"grpc_service": "toy", "grpc_method": "Play", "grpc_code": code}
        return self.metrics.registry.get_sample_value("grpc_server_handled_total", labels)

    async def call(self, behavior: Any) -> tuple[Any, Context]:
        """The response of a call, None if it was aborted, and its context."""
        context = Context()
        try:
            return await observed(behavior, "toy/Play", self.method, self.gate)(1, context), context
        except Aborted:
            return None, context


@pytest.fixture
def watched() -> Watched:
    """A method with counters of its own."""
    return Watched()


def test_every_code_has_its_series_before_the_first_call(watched: Watched) -> None:
    """An alert on a rate sees the first failure, since the series began at 0."""
    assert {watched.calls(code.name) for code in grpc.StatusCode} == {0}
    watched.method.handled(grpc.StatusCode.DATA_LOSS, 0.2)
    assert (watched.calls("DATA_LOSS"), watched.calls("OK")) == (1, 0)
    labels = {"grpc_service": "toy", "grpc_method": "Play"}
    name = "grpc_server_handling_seconds_sum"
    seconds = watched.metrics.registry.get_sample_value(name, labels)
    assert seconds == pytest.approx(0.2)


async def test_a_call_is_counted_and_answered(watched: Watched) -> None:
    """The response is that of the behavior."""

    async def behavior(request: int, _context: Context) -> int:
        return request + 1

    response, context = await watched.call(behavior)
    assert (response, context.aborted, watched.calls("OK")) == (2, None, 1)


async def test_an_error_of_ours_is_sent_with_its_reason(watched: Watched) -> None:
    """A caller's mistake is one quiet line, without a stack."""

    async def behavior(_request: int, _context: Context) -> int:
        raise InvalidQuery("expected 1, got 2")

    with capture_logs() as lines:
        _, context = await watched.call(behavior)
    assert context.aborted is not None
    code, details, trailers = context.aborted
    assert (code, details) == (grpc.StatusCode.INVALID_ARGUMENT, "expected 1, got 2")
    assert reason_in(trailers) == "INVALID_QUERY"
    assert watched.calls("INVALID_ARGUMENT") == 1
    (line,) = lines
    assert (line["log_level"], line["reason"]) == ("info", "INVALID_QUERY")
    assert "exc_info" not in line


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ZeroDivisionError("x"), grpc.StatusCode.INTERNAL),
        (LedgerCorrupt("restore the store from a backup"), grpc.StatusCode.DATA_LOSS),
    ],
)
async def test_a_failure_for_the_operator_is_one_error_with_its_stack(
    watched: Watched, error: Exception, code: grpc.StatusCode
) -> None:
    """A fault that takes down many calls is told once; each caller gets its request id."""

    async def behavior(_request: int, _context: Context) -> int:
        raise error

    with capture_logs() as lines:
        contexts = [(await watched.call(behavior))[1] for _ in range(3)]
    assert watched.calls(code.name) == 3
    (line,) = lines
    assert (line["log_level"], line["exc_info"]) == ("error", error)
    for context in contexts:
        assert context.aborted is not None
        ((_, blob),) = context.aborted[2]
        assert line["request_id"].encode() in status_pb2.Status.FromString(blob).SerializeToString()
        assert context.aborted[2][0][0] == DETAILS_KEY


async def test_a_call_that_its_caller_left_is_cancelled(watched: Watched) -> None:
    """It is counted as such, and the cancellation goes on."""
    entered = asyncio.Event()

    async def behavior(_request: int, _context: Context) -> int:
        entered.set()
        await asyncio.Event().wait()
        return 1

    call = asyncio.create_task(watched.call(behavior))
    await entered.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert watched.calls("CANCELLED") == 1


async def test_a_closed_gate_refuses_new_calls(watched: Watched) -> None:
    """With the code that clients retry on another replica."""

    async def behavior(_request: int, _context: Context) -> int:
        raise AssertionError("a call came through")

    watched.gate.is_open = False
    _, context = await watched.call(behavior)
    assert context.aborted is not None
    assert context.aborted[0] is grpc.StatusCode.UNAVAILABLE


async def test_a_stream_is_one_call(watched: Watched) -> None:
    """All its responses are written, and its end is its outcome."""

    async def behavior(request: int, _context: Context) -> AsyncIterator[int]:
        for step in range(3):
            yield request + step

    context = Context()
    await observed_stream(behavior, "toy/Play", watched.method, watched.gate)(1, context)
    assert context.written == [1, 2, 3]
    assert watched.calls("OK") == 1
