"""SensitivityService over gRPC: decode, have the engine assess, encode."""

from __future__ import annotations

from typing import Any

from queen.api.v1 import sensitivity_pb2 as pb
from queen.api.v1 import sensitivity_pb2_grpc
from queen.bundle import Bundle
from queen.method.ledger import Assessment
from queen.wire import encode_facts, tensor_bytes
from queen_sensitivity.decode import read_queries
from queen_sensitivity.dispatch import Dispatcher
from queen_sensitivity.metrics import SensitivityMetrics

SENSITIVITY = pb.DESCRIPTOR.services_by_name["SensitivityService"].full_name
"""Full name of the gRPC service, and of its health."""


class SensitivityServicer(sensitivity_pb2_grpc.SensitivityServiceServicer):
    """`queen.api.v1.SensitivityService`; protobuf stops here."""

    def __init__(
        self, bundle: Bundle, dispatcher: Dispatcher, metrics: SensitivityMetrics, max_rows: int
    ) -> None:
        self._bundle = bundle
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._max_rows = max_rows

    async def Assess(self, request: pb.AssessRequest, context: Any) -> pb.AssessResponse:  # noqa: ARG002, N802 - gRPC's names
        """Verdicts on a micro-batch; all that it records is durable when this returns."""
        with self._metrics.stages["decode"].time():
            queries = read_queries(request, self._bundle, self._max_rows)
        return encode_assessment(await self._dispatcher.assess(queries))


def encode_assessment(assessment: Assessment) -> pb.AssessResponse:
    """The response with raw tensors."""
    return pb.AssessResponse(
        verdicts=assessment.verdicts.tobytes(),
        causes=assessment.causes.tobytes(),
        sqs=tensor_bytes(assessment.sqs),
        facts=None if assessment.facts is None else encode_facts(assessment.facts),
    )
