"""PerturberService: protobuf in, answers out."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter, Gauge, Histogram

from queen.api.v1 import perturber_pb2 as pb
from queen.api.v1 import perturber_pb2_grpc
from queen.bundle import Bundle
from queen.errors import Overloaded
from queen.serving.metrics import Metrics
from queen.wire import PROFILES, tensor_bytes
from queen_perturber.decode import read_flagged
from queen_perturber.shadows import Flagged, Reversal
from queen_perturber.turns import Turns


class PerturberMetrics:
    """The service's own metrics, every series made in advance."""

    def __init__(self, metrics: Metrics) -> None:
        self.stages: dict[str, Histogram] = metrics.stages("decode", "wait", "reverse")
        self.answers: dict[str, Counter] = metrics.labeled(
            "queen_answers_total",
            "Answers made, by profile.",
            "profile",
            tuple(profile.value for profile in PROFILES.values()),
        )
        self.waiting: Gauge = metrics.gauge(
            "queen_waiting_calls", "Calls that wait for the shadow models."
        )

    def count(self, flagged: Flagged) -> None:
        """Count the answers of a batch."""
        for code, profile in PROFILES.items():
            self.answers[profile.value].inc(int((flagged.profiles == code).sum()))


class PerturberServicer(perturber_pb2_grpc.PerturberServiceServicer):
    """Hands batches, turn by turn, to the thread that runs the shadow models."""

    def __init__(
        self,
        bundle: Bundle,
        reversal: Reversal,
        compute: Executor,
        metrics: PerturberMetrics,
        *,
        max_rows: int,
        max_waiting: int,
    ) -> None:
        self._bundle = bundle
        self._reversal = reversal
        self._compute = compute
        self._metrics = metrics
        self._max_rows = max_rows
        self._max_waiting = max_waiting
        self._waiting = 0
        self._turns = Turns()

    async def Reverse(self, request: pb.ReverseRequest, context: Any) -> pb.ReverseResponse:  # noqa: ARG002, N802 - gRPC's names
        """An answer for every row, the same bytes for the same row every time."""
        with self._metrics.stages["decode"].time():
            flagged = read_flagged(request, self._bundle, self._max_rows)
        answers = await self._dispatch(flagged)
        self._metrics.count(flagged)
        return pb.ReverseResponse(probabilities=tensor_bytes(answers))

    async def _dispatch(self, flagged: Flagged) -> NDArray[np.float32]:
        if self._waiting >= self._max_waiting:
            raise Overloaded(f"expected at most {self._max_waiting} waiting calls, got one more")
        self._waiting += 1
        self._metrics.waiting.set(self._waiting)
        answers = np.empty_like(flagged.probabilities)
        try:
            done = 0
            while done < len(flagged):
                rows = np.arange(done, min(done + self._turns.rows, len(flagged)))
                # A caller that gives up is dropped from the queue, or ends with its turn.
                answers[rows] = await asyncio.get_running_loop().run_in_executor(
                    self._compute, self._answer, flagged.take(rows), perf_counter()
                )
                done += len(rows)
        finally:
            self._waiting -= 1
            self._metrics.waiting.set(self._waiting)
        return answers

    def _answer(self, part: Flagged, arrived: float) -> NDArray[np.float32]:
        began = perf_counter()
        self._metrics.stages["wait"].observe(began - arrived)
        answers = self._reversal.answer(part)
        seconds = perf_counter() - began
        self._metrics.stages["reverse"].observe(seconds)
        self._turns.took(len(part), seconds)
        return answers
