"""SensitivityService: protobuf in, verdicts out."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from time import perf_counter
from typing import Any

from queen.api.v1 import sensitivity_pb2 as pb
from queen.api.v1 import sensitivity_pb2_grpc
from queen.bundle import Bundle
from queen.errors import Overloaded
from queen.method.ledger import Assessment
from queen.wire import encode_facts, tensor_bytes
from queen_sensitivity.decode import read_queries
from queen_sensitivity.engine.book import LedgerBook
from queen_sensitivity.engine.charging import Queries
from queen_sensitivity.metrics import SensitivityMetrics


class SensitivityServicer(sensitivity_pb2_grpc.SensitivityServiceServicer):
    """Hands micro-batches to the one thread that owns the ledgers.

    `dispatcher` has a single thread: batches are taken in the order they arrived, and the
    store's disk never holds up the event loop.
    """

    def __init__(
        self,
        bundle: Bundle,
        book: LedgerBook,
        dispatcher: Executor,
        metrics: SensitivityMetrics,
        *,
        max_rows: int,
        max_waiting: int,
    ) -> None:
        self._bundle = bundle
        self._book = book
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._max_rows = max_rows
        self._max_waiting = max_waiting
        self._waiting = 0

    async def Assess(self, request: pb.AssessRequest, context: Any) -> pb.AssessResponse:  # noqa: ARG002, N802 - gRPC's names
        """Verdicts on a micro-batch; all that it records is durable when this returns."""
        with self._metrics.stages["decode"].time():
            queries = read_queries(
                request, self._bundle.digest, self._bundle.geometry, self._max_rows
            )
        return encode_assessment(await self._dispatch(queries))

    async def _dispatch(self, queries: Queries) -> Assessment:
        if self._waiting >= self._max_waiting:
            raise Overloaded(f"expected at most {self._max_waiting} waiting calls, got one more")
        self._waiting += 1
        self._metrics.waiting.set(self._waiting)
        try:
            # A caller that gives up while it waits is dropped from the queue, unassessed.
            return await asyncio.get_running_loop().run_in_executor(
                self._dispatcher, self._assess, queries, perf_counter()
            )
        finally:
            self._waiting -= 1
            self._metrics.waiting.set(self._waiting)

    def _assess(self, queries: Queries, arrived: float) -> Assessment:
        self._metrics.stages["wait"].observe(perf_counter() - arrived)
        with self._metrics.stages["assess"].time():
            assessment = self._book.assess(queries)
        self._metrics.count_verdicts(assessment)
        self._metrics.accounts_tracked.set(self._book.accounts_cached)
        return assessment


def encode_assessment(assessment: Assessment) -> pb.AssessResponse:
    """The response with raw tensors."""
    return pb.AssessResponse(
        verdicts=assessment.verdicts.tobytes(),
        causes=assessment.causes.tobytes(),
        sqs=tensor_bytes(assessment.sqs),
        facts=None if assessment.facts is None else encode_facts(assessment.facts),
    )
