"""Polls whether processes say that they live, and remembers the polls that failed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from queen.api.oip import open_inference_pb2 as oip
from queen.api.oip import open_inference_pb2_grpc
from tests.service_process import ServiceProcess

PERIOD_SECONDS = 0.1
TIMEOUT_SECONDS = 2.0
"""As the probes of our manifests."""


class Liveness:
    """Asks each process for the health of "", and the front door for ServerLive too."""

    def __init__(self, processes: list[ServiceProcess]) -> None:
        self.polls = 0
        self.failures: list[str] = []
        self._excused: set[str] = set()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._watch, args=(process,), daemon=True)
            for process in processes
        ]

    def __enter__(self) -> Liveness:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=10)

    @contextmanager
    def excusing(self, process: ServiceProcess) -> Iterator[None]:
        """Ignore a process that is killed, frozen or drained inside the block."""
        self._excused.add(process.name)
        try:
            yield
        finally:
            self._excused.discard(process.name)

    def _watch(self, process: ServiceProcess) -> None:
        while not self._stop.wait(PERIOD_SECONDS):
            if process.name in self._excused:
                continue
            # A connection of its own each time, as the probes of Kubernetes have.
            options = [("grpc.use_local_subchannel_pool", 1)]
            with grpc.insecure_channel(process.address, options) as channel:
                problem = _problem(channel, is_door=process.name == "inference")
            self.polls += 1
            if problem and process.name not in self._excused:
                self.failures.append(f"{process.name} at {time.monotonic():.3f}: {problem}")


def _problem(channel: grpc.Channel, *, is_door: bool) -> str:
    """The problem in a word or two; empty if the process lives."""
    try:
        request = health_pb2.HealthCheckRequest(service="")
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_SECONDS)
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            return f"health {answer.status}"
        if is_door:
            stub = open_inference_pb2_grpc.GRPCInferenceServiceStub(channel)
            live = stub.ServerLive(oip.ServerLiveRequest(), timeout=TIMEOUT_SECONDS)
            return "" if live.live else "not live"
    except grpc.RpcError as error:
        return str(error.code().name)
    return ""
