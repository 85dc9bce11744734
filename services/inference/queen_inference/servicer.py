"""The six methods of the Open Inference Protocol: convert, delegate, convert."""

from __future__ import annotations

from typing import Any

from queen.api.oip import open_inference_pb2 as oip
from queen.api.oip import open_inference_pb2_grpc
from queen.serving.health import Health
from queen_inference.door import FrontDoor

NAME = "inference.GRPCInferenceService"


class InferenceServicer(open_inference_pb2_grpc.GRPCInferenceServiceServicer):
    """`inference.GRPCInferenceService`. ModelInfer alone needs a credential."""

    def __init__(self, door: FrontDoor, health: Health) -> None:
        self._door = door
        self._health = health

    async def ServerLive(  # noqa: N802
        self, _request: oip.ServerLiveRequest, _context: Any
    ) -> oip.ServerLiveResponse:
        """Whether the process answers."""
        return oip.ServerLiveResponse(live=True)

    async def ServerReady(  # noqa: N802
        self, _request: oip.ServerReadyRequest, _context: Any
    ) -> oip.ServerReadyResponse:
        """Whether inference may be asked for; as the health of this service says."""
        return oip.ServerReadyResponse(ready=self._health.is_serving(NAME))

    async def ModelReady(  # noqa: N802
        self, request: oip.ModelReadyRequest, _context: Any
    ) -> oip.ModelReadyResponse:
        """Whether the named model serves; false for an unknown one."""
        known = self._door.serves(request.name, request.version)
        return oip.ModelReadyResponse(ready=known and self._health.is_serving(NAME))

    async def ServerMetadata(  # noqa: N802
        self, _request: oip.ServerMetadataRequest, _context: Any
    ) -> oip.ServerMetadataResponse:
        """Name and version of the server."""
        return self._door.server_metadata()

    async def ModelMetadata(  # noqa: N802
        self, request: oip.ModelMetadataRequest, _context: Any
    ) -> oip.ModelMetadataResponse:
        """Signature of the model."""
        return self._door.model_metadata(request.name, request.version)

    async def ModelInfer(  # noqa: N802
        self, request: oip.ModelInferRequest, context: Any
    ) -> oip.ModelInferResponse:
        """Answers to the request's queries."""
        # Before any validation: a stranger learns nothing about the model from an error.
        account = self._door.authenticate(context.invocation_metadata())
        return await self._door.infer(account, request, context.time_remaining())
