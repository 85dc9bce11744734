"""A hostile account, against a server in this process."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import numpy as np
import pytest

from queen.api.oip import open_inference_pb2 as oip
from queen.api.oip import open_inference_pb2_grpc as oip_grpc
from queen.bench.flood import MODES, Mode, flood
from queen.bench.load import build_requests

ENOUGH = 12
INPUTS = np.arange(30, dtype=np.float32).reshape(10, 3)


class Patient(oip_grpc.GRPCInferenceServiceServicer):
    """Refuses requests, or never answers them; counts both."""

    def __init__(self, refuses: bool) -> None:
        self.asked = self.given_up = self.most_open = self.open = 0
        self.is_enough = asyncio.Event()
        self._refuses = refuses

    async def ModelInfer(  # noqa: N802 - the protocol names it
        self, _request: oip.ModelInferRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> oip.ModelInferResponse:
        """No answer."""
        self.asked += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            if self._refuses:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        finally:
            self.open -= 1
            if self.asked >= ENOUGH:
                self.is_enough.set()
        return oip.ModelInferResponse()


async def flooded(refuses: bool, mode: Mode) -> Patient:
    """The server after enough requests."""
    servicer, server = Patient(refuses), grpc.aio.server()
    oip_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    requests = build_requests("small", "x", INPUTS, 2)
    asking = asyncio.create_task(flood(f"127.0.0.1:{port}", "key", mode, requests))
    await servicer.is_enough.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await server.stop(None)
    return servicer


async def test_a_refusal_is_asked_again(capfd: pytest.CaptureFixture[str]) -> None:
    """It ends nothing, and no more requests are in flight than the mode says."""
    servicer = await flooded(True, Mode(rows=2, in_flight=3))
    assert servicer.asked >= ENOUGH
    assert servicer.most_open <= 3
    assert capfd.readouterr().out == "asking\n"


async def test_requests_are_given_up() -> None:
    """A server that does not answer is asked again and again all the same."""
    servicer = await flooded(False, Mode(rows=2, in_flight=3, gives_up_seconds=0.05))
    assert servicer.given_up > 0


def test_all_modes_hold_as_much_as_an_account_may() -> None:
    """Both hold the rows of the setting `account_rows`."""
    assert {mode.rows * mode.in_flight for mode in MODES.values()} == {2048}
