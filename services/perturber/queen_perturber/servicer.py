"""PerturberService over gRPC: decodes, has the answers computed in turns, encodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from queen.api.v1 import perturber_pb2 as pb
from queen.api.v1 import perturber_pb2_grpc
from queen.bundle import Bundle
from queen.wire import tensor_bytes
from queen_perturber.decode import read_flagged
from queen_perturber.metrics import PerturberMetrics
from queen_perturber.turns import Turns

PERTURBER = pb.DESCRIPTOR.services_by_name["PerturberService"].full_name
"""Full name of the gRPC service, and of its health."""


class PerturberServicer(perturber_pb2_grpc.PerturberServiceServicer):
    """`queen.api.v1.PerturberService`; protobuf stops here.

    `secrets` gives the fingerprints of the secrets in force, the current one first.
    """

    def __init__(
        self,
        bundle: Bundle,
        secrets: Callable[[], Sequence[int]],
        turns: Turns,
        metrics: PerturberMetrics,
        max_rows: int,
    ) -> None:
        self._bundle = bundle
        self._secrets = secrets
        self._turns = turns
        self._metrics = metrics
        self._max_rows = max_rows

    async def Reverse(self, request: pb.ReverseRequest, context: Any) -> pb.ReverseResponse:  # noqa: ARG002, N802 - gRPC's names
        """An answer for every row, under a secret the same bytes for the same row every time."""
        with self._metrics.stages["decode"].time():
            flagged = read_flagged(request, self._bundle, self._max_rows, self._secrets())
        answers = await self._turns.answer(flagged, request.owner)
        self._metrics.count_answers(flagged)
        return pb.ReverseResponse(
            probabilities=tensor_bytes(answers), secrets=tensor_bytes(flagged.secrets, "<u4")
        )
