"""GRPCInferenceService: the Open Inference Protocol in, defended answers out."""

from __future__ import annotations

import json
from collections.abc import Callable
from time import perf_counter
from typing import Any

from queen import __version__
from queen.api.oip import open_inference_pb2 as oip
from queen.api.oip import open_inference_pb2_grpc
from queen.errors import PermissionDenied, Unauthenticated
from queen.serving.auth import Account, Metadata
from queen.serving.edge.terms import Admit, Terms
from queen.serving.health import Health
from queen.serving.identity.certificates import AuthContext, auth_context_of
from queen.wire import (
    CLASS_NAMES,
    decode_input,
    encode_response,
    most_request_bytes,
    requested_outputs,
    require_short,
)
from queen_inference.door import OUTPUTS, PROBABILITIES, FrontDoor, ServedModel
from queen_inference.metrics import InferenceMetrics

INFERENCE = oip.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
PLATFORM = "onnxruntime_onnx"
MOST_FIELDS = 4096
"""Most fields of a request: numbers lie in one field, so a request has a few dozen."""
METADATA_METHODS = frozenset({"ServerMetadata", "ModelMetadata", "ServerReflectionInfo"})
"""Methods that describe the server; of a stranger only where they are not private."""

Authenticate = Callable[[Metadata, AuthContext], Account]


class InferenceServicer(open_inference_pb2_grpc.GRPCInferenceServiceServicer):
    """The six methods of the protocol; ModelInfer alone needs a credential."""

    def __init__(self, door: FrontDoor, health: Health, metrics: InferenceMetrics) -> None:
        self._door = door
        self._health = health
        self._stages = metrics.stages

    async def ServerLive(  # noqa: N802 - gRPC's names
        self, _request: oip.ServerLiveRequest, _context: Any
    ) -> oip.ServerLiveResponse:
        """Whether the process answers."""
        return oip.ServerLiveResponse(live=True)

    async def ServerReady(  # noqa: N802 - gRPC's names
        self, _request: oip.ServerReadyRequest, _context: Any
    ) -> oip.ServerReadyResponse:
        """Whether the service accepts requests; its health name says the same."""
        return oip.ServerReadyResponse(ready=self._health.is_serving(INFERENCE))

    async def ModelReady(  # noqa: N802 - gRPC's names
        self, request: oip.ModelReadyRequest, _context: Any
    ) -> oip.ModelReadyResponse:
        """Whether the named model serves; false for an unknown one."""
        require_short(request.name, "name")
        require_short(request.version, "version")
        known = self._door.serves(request.name, request.version)
        return oip.ModelReadyResponse(ready=known and self._health.is_serving(INFERENCE))

    async def ServerMetadata(  # noqa: N802 - gRPC's names
        self, _request: oip.ServerMetadataRequest, _context: Any
    ) -> oip.ServerMetadataResponse:
        """Name and version of the server."""
        return oip.ServerMetadataResponse(name="queen", version=__version__)

    async def ModelMetadata(  # noqa: N802 - gRPC's names
        self, request: oip.ModelMetadataRequest, _context: Any
    ) -> oip.ModelMetadataResponse:
        """Signature of the model; the empty name asks for the model that is served."""
        model = self._door.model
        require_short(request.name, "name")
        require_short(request.version, "version")
        self._door.require_model(request.name or model.name, request.version)
        return _metadata(model)

    async def ModelInfer(  # noqa: N802 - gRPC's names
        self, request: oip.ModelInferRequest, context: Any
    ) -> oip.ModelInferResponse:
        """Answers to the request's queries."""
        account: Account = context.caller
        remaining_seconds = context.time_remaining()
        started = perf_counter()
        require_short(request.id, "id")
        require_short(request.model_name, "model_name")
        require_short(request.model_version, "model_version")
        self._door.require_model(request.model_name, request.model_version)
        model, max_rows = self._door.model, self._door.max_request_rows
        inputs, raw = decode_input(request, model.input, max_rows)
        names = requested_outputs(request, OUTPUTS)
        elapsed = perf_counter() - started
        self._stages["decode"].observe(elapsed)
        if remaining_seconds is not None:
            remaining_seconds -= elapsed
        outputs = await self._door.infer(account, inputs, names, remaining_seconds, request.id)
        started = perf_counter()
        response = encode_response(request, outputs, raw=raw, version=model.version)
        self._stages["encode"].observe(perf_counter() - started)
        return response


class Admission:
    """Asks for a credential before anything else of a call is read.

    ModelInfer always needs one. With `private_metadata` the methods that describe the server and
    its model need one as well, reflection included. Liveness and readiness need none. A caller that
    shows one all the same has the share of its account, and does not wait among strangers.
    """

    def __init__(self, authenticate: Authenticate, *, private_metadata: bool) -> None:
        self._authenticate = authenticate
        self._needy = {"ModelInfer", *(METADATA_METHODS if private_metadata else ())}

    def admit(self, method: str, context: Any) -> Account | None:
        """The account of a call; None for a stranger's, of a method that needs no credential.

        Raises Unauthenticated or PermissionDenied for a credential that opens no account, if the
        method needs one.
        """
        try:
            return self._authenticate(context.invocation_metadata(), auth_context_of(context))
        except (Unauthenticated, PermissionDenied):
            if method in self._needy:
                raise
            return None


def terms_of(admit: Admit, door: FrontDoor, max_message_bytes: int) -> Terms:
    """The terms on which the front door is called: `admit` says who may call what.

    A message has at most `max_message_bytes`, and no more than the largest request needs.
    """
    needed = most_request_bytes(door.model.input, door.max_request_rows)
    return Terms(
        admit,
        min(max_message_bytes, needed),
        MOST_FIELDS,
        is_quick=lambda context: door.is_quick(context.invocation_metadata()),
    )


def _metadata(model: ServedModel) -> oip.ModelMetadataResponse:
    names = oip.InferParameter(string_param=json.dumps(list(model.class_names)))
    response = oip.ModelMetadataResponse(
        name=model.name, versions=[model.version], platform=PLATFORM
    )
    response.inputs.add(**model.input.model_dump())
    for signature in model.outputs:
        tensor = response.outputs.add(**signature.model_dump())
        if signature.name == PROBABILITIES:
            tensor.parameters[CLASS_NAMES].CopyFrom(names)
    return response
