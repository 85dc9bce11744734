"""An account within its share, whose answers are counted and timed."""

from __future__ import annotations

import os
from typing import Any

import grpc
import numpy as np
import pytest

from queen.api.oip import open_inference_pb2 as oip
from queen.api.oip import open_inference_pb2_grpc as oip_grpc
from queen.bench.fairness import PATIENCE_SECONDS, Served, ask_at_rate, summary
from queen.bench.load import Server, build_requests

INPUTS = np.arange(30, dtype=np.float32).reshape(10, 3)


class EveryOther(oip_grpc.GRPCInferenceServiceServicer):
    """Answers every second request, and refuses the others."""

    def __init__(self) -> None:
        self.asked = 0

    async def ModelInfer(  # noqa: N802 - the protocol names it
        self, _request: oip.ModelInferRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> oip.ModelInferResponse:
        """An empty answer, or RESOURCE_EXHAUSTED."""
        self.asked += 1
        if self.asked % 2:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED)
        return oip.ModelInferResponse()


async def test_a_refused_request_is_asked_once_and_counts_as_late() -> None:
    """All requests are sent, those that were refused too, and the refused ones are the slowest."""
    servicer, server = EveryOther(), grpc.aio.server()
    oip_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    target = Server(f"127.0.0.1:{port}", "key", (os.getpid(),))
    requests = build_requests("small", "x", INPUTS, 1)
    served = await ask_at_rate(target, requests, rate=400.0, seconds=0.1)
    await server.stop(None)
    assert servicer.asked == 40
    assert served.answered == 0.5
    assert served.p99_ms == 1e3 * PATIENCE_SECONDS
    assert served.cores > 0


def test_pairs_are_compared_with_themselves() -> None:
    """A quiet period that was slow itself is the measure of the hostile one after it."""
    pairs = [
        (Served(1.0, 2.0, 10.0, 0.5), Served(0.9, 3.0, 20.0, 1.0)),
        (Served(0.5, 4.0, 40.0, 0.5), Served(0.5, 4.0, 40.0, 1.0)),
        (Served(1.0, 2.0, 10.0, 0.5), Served(0.8, 3.0, 30.0, 1.0)),
    ]
    row = summary(57.0, pairs)
    assert row["kept"] == pytest.approx([0.9, 0.8, 1.0])
    assert row["p99_ratio"] == pytest.approx([2.0, 1.0, 3.0])
    assert (row["p99_quiet_ms"], row["p99_ms"], row["cores"]) == (10.0, 30.0, 1.0)
