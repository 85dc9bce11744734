"""SensitivityService over gRPC: decodes, has the engine assess on its thread, encodes."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from time import perf_counter
from typing import Any

import numpy as np

from queen.api.v1 import sensitivity_pb2 as pb
from queen.api.v1 import sensitivity_pb2_grpc
from queen.errors import Overloaded
from queen.failures import Failure
from queen.method.ledger import Assessment, Verdict
from queen.wire import encode_facts, tensor_bytes
from queen_sensitivity.decode import Expected, read_queries
from queen_sensitivity.engine.book import LedgerBook
from queen_sensitivity.engine.charging import Queries
from queen_sensitivity.metrics import SensitivityMetrics

SENSITIVITY = pb.DESCRIPTOR.services_by_name["SensitivityService"].full_name
"""Full name of the gRPC service, and of its health."""


class SensitivityServicer(sensitivity_pb2_grpc.SensitivityServiceServicer):
    """`queen.api.v1.SensitivityService`; protobuf stops here."""

    def __init__(
        self, expected: Expected, dispatcher: Dispatcher, metrics: SensitivityMetrics
    ) -> None:
        self._expected = expected
        self._dispatcher = dispatcher
        self._metrics = metrics

    async def Assess(self, request: pb.AssessRequest, context: Any) -> pb.AssessResponse:  # noqa: ARG002, N802 - gRPC's names
        """Verdicts on a micro-batch; all that it records is durable when this returns."""
        with self._metrics.stages["decode"].time():
            queries = read_queries(request, self._expected)
        return encode_assessment(await self._dispatcher.assess(queries))


class Dispatcher:
    """Has the engine assess micro-batches on `thread`, in the order in which they arrived.

    `thread` has a single worker, which owns the engine: the store's disk never holds up the
    event loop. At most `max_waiting` calls wait.
    """

    def __init__(
        self, book: LedgerBook, thread: Executor, metrics: SensitivityMetrics, max_waiting: int
    ) -> None:
        self._book = book
        self._thread = thread
        self._metrics = metrics
        self._max_waiting = max_waiting
        self._waiting = 0

    async def assess(self, queries: Queries) -> Assessment:
        """See `LedgerBook.assess`; Overloaded if too many calls wait already."""
        if self._waiting >= self._max_waiting:
            raise Overloaded(f"expected at most {self._max_waiting} waiting calls, got one more")
        self._waiting += 1
        self._metrics.waiting.set(self._waiting)
        try:
            # A caller that gives up while it waits is dropped from the queue, unassessed.
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, self._assess, queries, perf_counter()
            )
        finally:
            self._waiting -= 1
            self._metrics.waiting.set(self._waiting)

    def forget(self, owner: str) -> None:
        """Have the engine forget an owner, and wait until it has; called from another thread."""
        self._thread.submit(self._book.forget, owner).result()

    def write_back(self) -> None:
        """Have the engine give the store the records that it did not take, and wait until it has.

        Called from another thread. Raises DependencyUnavailable if the store does not answer.
        """
        self._thread.submit(self._book.write_back).result()

    def _assess(self, queries: Queries, arrived: float) -> Assessment:
        self._metrics.stages["wait"].observe(perf_counter() - arrived)
        with self._metrics.stages["assess"].time():
            assessment = self._book.assess(queries)
        self._count(assessment)
        self._metrics.accounts_tracked.set(self._book.accounts_cached)
        return assessment

    def _count(self, assessment: Assessment) -> None:
        counts = np.bincount(assessment.verdicts, minlength=max(Verdict) + 1).tolist()
        for verdict in Verdict:
            if counts[verdict]:
                self._metrics.decisions[verdict.name.lower()].inc(counts[verdict])
        if assessment.failures is not None:
            counts = np.bincount(assessment.failures, minlength=max(Failure) + 1).tolist()
            for failure in Failure:
                self._metrics.failures[failure.name.lower()].inc(counts[failure])


def encode_assessment(assessment: Assessment) -> pb.AssessResponse:
    """The response with raw tensors."""
    return pb.AssessResponse(
        verdicts=assessment.verdicts.tobytes(),
        causes=assessment.causes.tobytes(),
        sqs=tensor_bytes(assessment.sqs),
        facts=None if assessment.facts is None else encode_facts(assessment.facts),
        secrets=tensor_bytes(assessment.secrets, "<u4"),
        failures=b"" if assessment.failures is None else assessment.failures.tobytes(),
    )
