"""A method of ours on a real server, with whatever behavior a test gives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from queen.api.v1 import sensitivity_pb2 as pb
from queen.serving.edge.calls import CallLimits, CallsInWork
from queen.serving.edge.grpc_server import Counts, GrpcServer
from queen.serving.edge.terms import TRUSTING, Gate, Terms
from queen.serving.interceptors import Edge, ObservedServer
from queen.serving.metrics import Metrics

PATH = "/toy/Play"
LIMITS = CallLimits(
    calls=64, bytes=2**24, message_bytes=2**20, request_seconds=60, answer_seconds=60
)
KINDS = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


@dataclass
class Toy:
    """A server of /toy/Play, which takes and gives AssessRequest."""

    limits: CallLimits = LIMITS
    terms: Terms = TRUSTING
    metrics: Metrics = field(default_factory=Metrics)
    gate: Gate = field(default_factory=Gate)
    address: str = ""

    def calls(self, code: str) -> float | None:
        """Calls that ended with a code."""
        labels = {"grpc_service": "toy", "grpc_method": "Play", "grpc_code": code}
        return self.metrics.registry.get_sample_value("grpc_server_handled_total", labels)

    def dropped(self, reason: str) -> float | None:
        """Calls that the edge refused or dropped."""
        return self.metrics.registry.get_sample_value(
            "queen_calls_dropped_total", {"reason": reason}
        )

    @asynccontextmanager
    async def serving(
        self, behavior: Any, *, reads_many: bool = False, answers_many: bool = False
    ) -> AsyncIterator[grpc.aio.Channel]:
        """A channel to the method; it takes a stream of requests, and gives one of responses."""
        server = GrpcServer(
            [
                ("grpc.max_receive_message_length", self.limits.message_bytes),
                ("grpc.http2.bdp_probe", 0),
            ],
            Counts(self.metrics.unknown_methods.inc),
        )
        loop = asyncio.get_running_loop()
        self.in_work = CallsInWork(
            self.limits, lambda why: self.metrics.dropped[why].inc(), loop.time, loop.call_later
        )
        edge = Edge(self.in_work, self.gate, self.terms)
        handler = KINDS[reads_many, answers_many](behavior, pb.AssessRequest.FromString, None)
        observed = ObservedServer(server, self.metrics, edge)
        observed.add_registered_method_handlers("toy", {"Play": handler})
        self.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        options = [("grpc.max_send_message_length", -1)]
        try:
            async with grpc.aio.insecure_channel(self.address, options) as channel:
                yield channel
        finally:
            await server.stop(None)


async def echo(request: Any, _context: Any) -> Any:
    """Answer with the request."""
    return request
