"""A closed-loop load: a fixed number of requests in flight; an answer sends the next request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import numpy as np
from numpy.typing import NDArray

from queen.api.oip import open_inference_pb2 as oip
from queen.api.oip import open_inference_pb2_grpc as oip_grpc
from queen.bench.machine import cpu_seconds


@dataclass(frozen=True)
class Server:
    """A server under load: its address, an account's key, and the processes that serve."""

    endpoint: str
    key: str
    pids: tuple[int, ...]
    """Ids of the processes that serve; their CPU time is divided by the requests."""
    authorities: bytes | None = None
    """PEM of the authorities that sign its certificate; None for a server in plain text."""

    @property
    def credentials(self) -> grpc.ChannelCredentials | None:
        """Credentials of a channel; None for plain text."""
        return None if self.authorities is None else grpc.ssl_channel_credentials(self.authorities)

    def channel(self) -> grpc.aio.Channel:
        """A channel to the server."""
        if self.credentials is None:
            return grpc.aio.insecure_channel(self.endpoint)
        return grpc.aio.secure_channel(self.endpoint, self.credentials)


@dataclass(frozen=True)
class LoadResult:
    """Figures of a burst: requests a second, latencies in ms, server CPU in ms a request."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms_per_request: float


def build_requests(
    model: str, input_name: str, inputs: NDArray[np.float32], batch: int
) -> list[oip.ModelInferRequest]:
    """Requests of `batch` rows over all of `inputs` (N, ...), in order."""
    requests = []
    for start in range(0, len(inputs) - batch + 1, batch):
        rows = inputs[start : start + batch]
        request = oip.ModelInferRequest(model_name=model)
        request.inputs.add(name=input_name, datatype="FP32", shape=rows.shape)
        request.raw_input_contents.append(rows.tobytes())
        requests.append(request)
    return requests


async def burst(
    server: Server,
    requests: Sequence[oip.ModelInferRequest],
    *,
    in_flight: int,
    seconds: float,
) -> LoadResult:
    """Keep `in_flight` requests open for `seconds`; any error ends the run."""
    metadata = (("authorization", f"Bearer {server.key}"),)
    latencies: list[float] = []
    async with server.channel() as channel:
        infer = oip_grpc.GRPCInferenceServiceStub(channel).ModelInfer
        await infer(requests[0], metadata=metadata)
        used = sum(map(cpu_seconds, server.pids))
        start = time.perf_counter()

        async def send_in_turn(first: int) -> None:
            index = first
            while (sent := time.perf_counter()) - start < seconds:
                await infer(requests[index % len(requests)], metadata=metadata)
                latencies.append(time.perf_counter() - sent)
                index += in_flight

        await asyncio.gather(*map(send_in_turn, range(in_flight)))
        elapsed = time.perf_counter() - start
        used = sum(map(cpu_seconds, server.pids)) - used
    p50, p99 = np.percentile(latencies, [50, 99]) * 1e3
    return LoadResult(len(latencies) / elapsed, float(p50), float(p99), 1e3 * used / len(latencies))
