"""The closed-loop load, against the bare server in this process."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import Any

import grpc
import numpy as np

from queen.api.oip import open_inference_pb2 as oip
from queen.api.oip import open_inference_pb2_grpc as oip_grpc
from queen.bench.load import Server, build_requests, burst

INPUTS = np.arange(30, dtype=np.float32).reshape(10, 3)


class Counting(oip_grpc.GRPCInferenceServiceServicer):
    """Answers nothing, and remembers what it saw."""

    def __init__(self) -> None:
        self.open = self.most_open = 0
        self.seen: Counter[bytes] = Counter()
        self.keys: set[Any] = set()

    async def ModelInfer(  # noqa: N802 - the protocol names it
        self, request: oip.ModelInferRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> oip.ModelInferResponse:
        """Count the request."""
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        self.seen[request.raw_input_contents[0]] += 1
        self.keys.add(dict(context.invocation_metadata() or ())["authorization"])
        await asyncio.sleep(0.001)
        self.open -= 1
        return oip.ModelInferResponse()


def test_requests_hold_all_full_batches_in_order() -> None:
    """Rows that fill no batch are left out."""
    requests = build_requests("small", "x", INPUTS, 4)
    assert [list(request.inputs[0].shape) for request in requests] == [[4, 3], [4, 3]]
    rows = b"".join(request.raw_input_contents[0] for request in requests)
    assert np.array_equal(np.frombuffer(rows, np.float32).reshape(-1, 3), INPUTS[:8])


async def test_so_many_requests_are_in_flight_and_all_are_sent() -> None:
    """The load keeps its number of open calls, goes round the requests and shows its key."""
    servicer, server = Counting(), grpc.aio.server()
    oip_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    requests = build_requests("small", "x", INPUTS, 2)
    target = Server(f"127.0.0.1:{port}", "secret", (os.getpid(),))
    result = await burst(target, requests, in_flight=3, seconds=0.3)
    await server.stop(None)
    assert servicer.most_open == 3
    assert len(servicer.seen) == len(requests)
    assert servicer.keys == {"Bearer secret"}
    assert 0 < result.p50_ms <= result.p99_ms
    assert result.requests_per_second > 0
    assert result.cpu_ms_per_request > 0
