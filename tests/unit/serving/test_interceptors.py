"""The way of a call: who may make it, what of it is read, its status, its count, its line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import grpc
import pytest
import structlog
from google.rpc import status_pb2
from structlog.testing import capture_logs

from queen.api.v1 import sensitivity_pb2 as pb
from queen.errors import InvalidQuery, LedgerCorrupt, Unauthenticated
from queen.serving.edge.terms import Terms
from queen.serving.interceptors import STRANGERS_MESSAGE_BYTES, MethodMetrics
from queen.serving.metrics import Metrics
from queen.serving.status import DETAILS_KEY, reason_in
from tests.raw_http2 import DATA, HEADERS, RawHttp2
from tests.toy_server import LIMITS, PATH, Toy, echo
from tests.waiting import until

CODE = grpc.StatusCode


@dataclass(frozen=True)
class Named:
    """A caller."""

    hash: str


def admit(_method: str, context: Any) -> Named | None:
    """The caller that the metadata names; `bad` is unknown, and no name is a stranger."""
    names = [value for key, value in context.invocation_metadata() if key == "name"]
    if names == ["bad"]:
        raise Unauthenticated("expected another name")
    return Named(names[0]) if names else None


@pytest.fixture
def toy() -> Toy:
    """A server of one method."""
    structlog.reset_defaults()
    return Toy()


async def refusal(
    channel: grpc.aio.Channel, body: bytes = b"", **kind: Any
) -> grpc.aio.AioRpcError:
    """The error of a call whose message has those bytes."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(PATH)(body, **kind)
    return caught.value


def test_every_code_has_its_series_before_the_first_call() -> None:
    """An alert on a rate sees the first failure, since the series began at 0."""
    toy = Toy()
    method = MethodMetrics(toy.metrics, "toy", "Play")
    assert {toy.calls(code.name) for code in CODE} == {0}
    method.handled(CODE.DATA_LOSS, 0.2)
    assert (toy.calls("DATA_LOSS"), toy.calls("OK")) == (1, 0)
    labels = {"grpc_service": "toy", "grpc_method": "Play"}
    name = "grpc_server_handling_seconds_sum"
    assert toy.metrics.registry.get_sample_value(name, labels) == pytest.approx(0.2)


async def test_a_call_is_counted_and_answered(toy: Toy) -> None:
    """The response is that of the behavior, and nothing is in work afterwards."""
    async with toy.serving(echo) as channel:
        body = pb.AssessRequest(labels=b"x" * 9000).SerializeToString()
        assert await channel.unary_unary(PATH)(body) == body
        assert toy.calls("OK") == 1
        await until(lambda: len(toy.in_work) == toy.in_work.held == 0)


async def test_an_error_of_ours_is_sent_with_its_reason(toy: Toy) -> None:
    """A caller's mistake is one quiet line, without a stack."""

    async def behavior(_request: Any, _context: Any) -> Any:
        raise InvalidQuery("expected 1, got 2")

    async with toy.serving(behavior) as channel:
        with capture_logs() as lines:
            error = await refusal(channel)
    assert (error.code(), error.details()) == (CODE.INVALID_ARGUMENT, "expected 1, got 2")
    assert reason_in(error.trailing_metadata()) == "INVALID_QUERY"
    assert toy.calls("INVALID_ARGUMENT") == 1
    (line,) = lines
    assert (line["log_level"], line["reason"]) == ("info", "INVALID_QUERY")
    assert "exc_info" not in line


async def test_damage_is_an_error_without_a_stack(toy: Toy) -> None:
    """It is no bug, and every call of the account meets it."""

    async def behavior(_request: Any, _context: Any) -> Any:
        raise LedgerCorrupt("restore the store from a backup")

    async with toy.serving(behavior) as channel:
        with capture_logs() as lines:
            assert (await refusal(channel)).code() is CODE.DATA_LOSS
    (line,) = lines
    assert (line["log_level"], line["reason"]) == ("error", "LEDGER_CORRUPT")
    assert "exc_info" not in line


async def test_a_failure_for_the_operator_is_one_error_with_its_stack(toy: Toy) -> None:
    """A fault that takes down many calls is told once; each caller gets its request id."""
    error, code = ZeroDivisionError("x"), CODE.INTERNAL

    async def behavior(_request: Any, _context: Any) -> Any:
        raise error

    async with toy.serving(behavior) as channel:
        with capture_logs() as lines:
            sent = [await refusal(channel) for _ in range(3)]
    assert toy.calls(code.name) == 3
    (line,) = lines
    assert (line["log_level"], line["exc_info"]) == ("error", error)
    for refused in sent:
        ((_, blob),) = [pair for pair in refused.trailing_metadata() if pair[0] == DETAILS_KEY]
        assert line["request_id"].encode() in status_pb2.Status.FromString(blob).SerializeToString()


async def test_a_call_that_its_caller_left_is_cancelled(toy: Toy) -> None:
    """It is counted as such, and is not in work any more."""
    entered = asyncio.Event()

    async def behavior(_request: Any, _context: Any) -> Any:
        entered.set()
        await asyncio.Event().wait()

    async with toy.serving(behavior) as channel:
        call = channel.unary_unary(PATH)(b"")
        await entered.wait()
        call.cancel()
        await until(lambda: toy.calls("CANCELLED") == 1 and len(toy.in_work) == 0)


async def test_a_status_that_a_behavior_chose_is_counted_as_that(toy: Toy) -> None:
    """And not as UNKNOWN."""

    async def behavior(_request: Any, context: Any) -> Any:
        await context.abort(CODE.NOT_FOUND, "nothing of that name")

    async with toy.serving(behavior) as channel:
        assert (await refusal(channel)).code() is CODE.NOT_FOUND
    assert (toy.calls("NOT_FOUND"), toy.calls("UNKNOWN")) == (1, 0)


async def test_a_closed_gate_refuses_new_calls(toy: Toy) -> None:
    """With the code that clients retry on another replica."""
    toy.gate.is_open = False
    async with toy.serving(echo) as channel:
        assert (await refusal(channel)).code() is CODE.UNAVAILABLE


async def test_streams_are_one_call_each(toy: Toy) -> None:
    """All messages of both ways pass, and the end is the outcome."""

    async def behavior(requests: Any, _context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield request
            yield request

    bodies = [pb.AssessRequest(labels=bytes([step])).SerializeToString() for step in range(3)]
    async with toy.serving(behavior, reads_many=True, answers_many=True) as channel:
        answers = channel.stream_stream(PATH)(iter(bodies))
        assert [answer async for answer in answers] == [body for body in bodies for _ in "12"]
    assert toy.calls("OK") == 1


async def test_bytes_that_are_no_message_are_told_and_counted(toy: Toy) -> None:
    """INVALID_ARGUMENT with a reason, nothing in the log of gRPC, and the server goes on."""
    many = pb.AssessRequest(accounts=[pb.AccountPolicy()] * 70_000).SerializeToString()
    async with toy.serving(echo) as channel:
        for body in (b"\x0a\xff", b"\xff" * 9000, b"\x0b" * 9000, many):
            error = await refusal(channel, body)
            assert error.code() is CODE.INVALID_ARGUMENT
            assert reason_in(error.trailing_metadata()) == "MALFORMED_MESSAGE"
        await channel.unary_unary(PATH)(b"")
    assert (toy.calls("INVALID_ARGUMENT"), toy.calls("UNKNOWN"), toy.calls("OK")) == (4, 0, 1)


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
async def test_a_message_is_bounded_by_the_size_of_its_content(
    toy: Toy, compression: grpc.Compression
) -> None:
    """Compressed or not; a small compressed message is welcome."""
    async with toy.serving(echo) as channel:
        small, large = (
            pb.AssessRequest(labels=bytes(size)).SerializeToString() for size in (2**19, 2**26)
        )
        assert await channel.unary_unary(PATH)(small, compression=compression) == small
        error = await refusal(channel, large, compression=compression)
        assert error.code() is CODE.RESOURCE_EXHAUSTED
    assert (toy.calls("RESOURCE_EXHAUSTED"), toy.calls("OK")) == (1, 1)


async def test_nothing_of_a_call_is_read_before_its_caller_is_admitted(toy: Toy) -> None:
    """A wrong credential is refused though the message never comes."""
    toy.terms = Terms(admit)
    async with toy.serving(echo):
        await asyncio.to_thread(_is_refused_before_its_body, toy.address)
    assert toy.calls("UNAUTHENTICATED") == 1


def _is_refused_before_its_body(address: str) -> None:
    with RawHttp2(address) as raw:
        stream = raw.begin(PATH.encode(), (b"name", b"bad"))
        assert b"grpc-status" in raw.read_until(HEADERS, stream)


async def test_a_caller_who_takes_long_to_tell_waits_for_a_strangers_turn(toy: Toy) -> None:
    """A signature is verified when the call begins, and not for each call that comes."""
    asked: list[str] = []

    def is_quick(context: Any) -> bool:
        asked.append("quick")
        return ("name", "bob") not in context.invocation_metadata()

    def admit_slowly(method: str, context: Any) -> Named | None:
        asked.append("admit")
        return admit(method, context)

    toy.terms = Terms(admit_slowly, is_quick=is_quick)
    body = pb.AssessRequest(labels=bytes(STRANGERS_MESSAGE_BYTES)).SerializeToString()
    async with toy.serving(echo) as channel:
        method = channel.unary_unary(PATH)
        assert await method(body, metadata=(("name", "bob"),)) == body
        assert await method(body, metadata=(("name", "alice"),)) == body
        assert asked == ["quick", "admit"] * 2
        assert (await refusal(channel, metadata=(("name", "bad"),))).code() is CODE.UNAUTHENTICATED


async def test_strangers_send_little(toy: Toy) -> None:
    """A message that a caller with a credential may send is too large for one without."""
    toy.terms = Terms(admit)
    body = pb.AssessRequest(labels=bytes(STRANGERS_MESSAGE_BYTES)).SerializeToString()
    async with toy.serving(echo) as channel:
        error = await refusal(channel, body)
        assert await channel.unary_unary(PATH)(body, metadata=(("name", "alice"),)) == body
    assert error.code() is CODE.RESOURCE_EXHAUSTED
    assert str(STRANGERS_MESSAGE_BYTES) in (error.details() or "")


async def test_a_message_that_does_not_come_ends_its_call(toy: Toy) -> None:
    """It is told, counted, and holds nothing any more."""
    toy.limits = replace(LIMITS, request_seconds=0.01)
    async with toy.serving(echo) as channel:
        await asyncio.to_thread(_is_refused_amid_its_body, toy.address)
        assert (toy.calls("DEADLINE_EXCEEDED"), toy.dropped("slow_request")) == (1, 1)
        assert await channel.unary_unary(PATH)(b"") == b""
        await until(lambda: len(toy.in_work) == 0)


def _is_refused_amid_its_body(address: str) -> None:
    with RawHttp2(address) as raw:
        stream = raw.begin(PATH.encode())
        raw.send(stream, b"\x0a", length=1000)
        assert b"grpc-status" in raw.read_until(HEADERS, stream)


@pytest.mark.parametrize("gives", [False, True])
async def test_an_answer_that_nobody_reads_is_dropped(toy: Toy, gives: bool) -> None:
    """Its bytes count until then; afterwards the call is over for gRPC as well."""
    toy.limits = replace(LIMITS, answer_seconds=0.01)
    answer = pb.AssessRequest(labels=bytes(2**19))

    async def behavior(_request: Any, _context: Any) -> Any:
        return answer

    async def stream(_request: Any, _context: Any) -> AsyncIterator[Any]:
        while True:
            yield answer

    async with toy.serving(stream if gives else behavior, answers_many=gives) as channel:
        with RawHttp2(toy.address, window=0) as raw:
            raw.send(raw.begin(PATH.encode()), b"")
            await until(lambda: toy.dropped("unread_answer") == 1)
            await until(lambda: len(toy.in_work) == toy.in_work.held == 0)
        method = channel.unary_stream(PATH) if gives else channel.unary_unary(PATH)
        call = method(b"")
        assert len(await (call.read() if gives else call)) > 2**19


async def test_a_path_that_is_no_text_ends_nothing(toy: Toy) -> None:
    """It is an unknown method, and counted; the server answers everybody else."""
    async with toy.serving(echo) as channel:
        await asyncio.to_thread(_calls_unknown_methods, toy.address)
        assert await channel.unary_unary(PATH)(b"") == b""
    value = toy.metrics.registry.get_sample_value
    assert value("queen_unknown_methods_total") == 3


def _calls_unknown_methods(address: str) -> None:
    with RawHttp2(address) as raw:
        for path in (b"/toy/\xff\xfe", b"\xff", b"/toy/Other"):
            assert b"Method not found" in raw.read_until(HEADERS, raw.begin(path))


async def test_an_answer_is_read_as_far_as_its_window(toy: Toy) -> None:
    """The raw client of these tests gets what a client gets."""
    async with toy.serving(echo):
        data = await asyncio.to_thread(_answer, toy.address)
    assert data == b"\x00\x00\x00\x00\x03\x1a\x01x"


def _answer(address: str) -> bytes:
    with RawHttp2(address) as raw:
        stream = raw.begin(PATH.encode())
        raw.send(stream, b"\x1a\x01x")
        return raw.read_until(DATA, stream)


async def test_metrics_begin_with_every_reason() -> None:
    """An alert on a rate sees the first dropped call."""
    value = Metrics().registry.get_sample_value
    for reason in ("calls", "bytes", "gave_way", "slow_request", "unread_answer"):
        assert value("queen_calls_dropped_total", {"reason": reason}) == 0
