"""The number of header fields, told from gRPC's object of a call."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from queen.serving.edge import header_count
from queen.serving.edge.grpc_server import Counts, GrpcServer
from queen.serving.edge.header_count import MOST_FIELDS, HeaderCount


async def many_and_few(monkeypatch: pytest.MonkeyPatch, size: int) -> tuple[list[int], list[int]]:
    """The fields that were read, call by call, and those of the calls that were begun.

    gRPC's object of a call has its own size, or one that our reading does not know.
    """
    monkeypatch.setattr(header_count, "_SIZE", size)
    read, begun = list[int](), list[int]()
    is_within = HeaderCount.is_within

    def observed(self: HeaderCount, state: Any, fields: Any) -> bool:
        def count() -> Any:
            found = fields()
            read.append(len(found))
            return found

        return is_within(self, state, count)

    async def play(_messages: object, context: Any) -> bytes:
        begun.append(len(context.invocation_metadata()))
        return b""

    monkeypatch.setattr(HeaderCount, "is_within", observed)
    server = GrpcServer([], Counts())
    handler = grpc.stream_unary_rpc_method_handler(play)
    server.add_registered_method_handlers("toy", {"Play": handler})
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = channel.unary_unary("/toy/Play")
        for number in range(20):
            # gRPC's client adds fields of its own.
            many = number % 2 and MOST_FIELDS + 1
            fields = tuple(("a", "") for _ in range(many or number))
            await asyncio.gather(method(b"", metadata=fields), return_exceptions=True)
    await server.stop(None)
    return read, begun


async def test_the_number_is_believed_once_it_was_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then no field is read; a call with too many never begins."""
    read, begun = await many_and_few(monkeypatch, 224)
    assert len(read) == 8
    assert len(begun) == 10
    assert max(begun) <= MOST_FIELDS < max(read)


async def test_without_the_number_the_fields_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version of gRPC may keep it elsewhere: the same calls are dropped."""
    read, begun = await many_and_few(monkeypatch, 0)
    assert len(read) == 20
    assert len(begun) == 10
    assert max(begun) <= MOST_FIELDS < max(read)
