"""The front door without a transport: authenticate, decode, batch, encode."""

from __future__ import annotations

import json
from collections.abc import Iterable
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queen import __version__
from queen.api.oip import open_inference_pb2 as oip
from queen.bundle import Manifest
from queen.errors import ModelNotFound
from queen.serving.auth import Account, Keyring
from queen.wire import CLASS_NAMES, decode_input, encode_response, requested_outputs
from queen_inference.batching import MicroBatcher
from queen_inference.metrics import Measures

OUTPUTS = ("probabilities", "label")
PLATFORM = "onnxruntime_onnx"


class FrontDoor:
    """One model, its accounts, and the way of a request through them."""

    def __init__(
        self,
        manifest: Manifest,
        keyring: Keyring,
        batcher: MicroBatcher,
        max_request_rows: int,
        measures: Measures,
    ) -> None:
        self._manifest = manifest
        self._keyring = keyring
        self._batcher = batcher
        self._max_rows = max_request_rows
        self._stages = measures.stages
        self.version = manifest.digest[:12]

    def authenticate(self, metadata: Iterable[tuple[str, Any]] | None) -> Account:
        """Who sent a request; Unauthenticated if no account did."""
        return self._keyring.authenticate(metadata)

    async def infer(
        self, account: Account, request: oip.ModelInferRequest, remaining_seconds: float | None
    ) -> oip.ModelInferResponse:
        """The response to a request of `account`; the errors of style's tree for a bad one."""
        started = perf_counter()
        self.require_model(request.model_name, request.model_version)
        inputs, raw = decode_input(request, self._manifest.input, self._max_rows)
        names = requested_outputs(request, OUTPUTS)
        self._stages["decode"].observe(perf_counter() - started)
        if remaining_seconds is not None:
            remaining_seconds -= perf_counter() - started
        answers = await self._batcher.submit(account, inputs, remaining_seconds, request.id)
        started = perf_counter()
        outputs = {name: _output(name, answers) for name in names}
        response = encode_response(request, outputs, raw=raw, version=self.version)
        self._stages["encode"].observe(perf_counter() - started)
        return response

    def serves(self, name: str, version: str) -> bool:
        """Whether a model is the one served; an empty version leaves the choice to us."""
        return name == self._manifest.model_name and version in {"", self.version}

    def require_model(self, name: str, version: str) -> None:
        """ModelNotFound for any model but the one served."""
        if name != self._manifest.model_name:
            raise ModelNotFound(
                f"expected model '{self._manifest.model_name}', got '{name}'", field="model_name"
            )
        if version not in {"", self.version}:
            raise ModelNotFound(
                f"expected version '{self.version}' of model '{name}', or none, got '{version}'",
                field="model_version",
            )

    def server_metadata(self) -> oip.ServerMetadataResponse:
        """Name and version of the server."""
        return oip.ServerMetadataResponse(name="queen", version=__version__)

    def model_metadata(self, name: str, version: str) -> oip.ModelMetadataResponse:
        """Signature of the model; ModelNotFound for any other.

        The empty name asks which model is served, so that a client needs none configured.
        """
        name = name or self._manifest.model_name
        self.require_model(name, version)
        manifest = self._manifest
        tensor = oip.ModelMetadataResponse.TensorMetadata
        names = oip.InferParameter(string_param=json.dumps(manifest.class_names))
        signature = manifest.input
        return oip.ModelMetadataResponse(
            name=manifest.model_name,
            versions=[self.version],
            platform=PLATFORM,
            inputs=[
                tensor(name=signature.name, datatype=signature.datatype, shape=signature.shape)
            ],
            outputs=[
                tensor(
                    name="probabilities",
                    datatype="FP32",
                    shape=[-1, manifest.num_classes],
                    parameters={CLASS_NAMES: names},
                ),
                tensor(name="label", datatype="INT64", shape=[-1]),
            ],
        )


def _output(name: str, answers: NDArray[np.float32]) -> NDArray[Any]:
    # The label is that of the answer, not the protectee's: where the two differ, sending
    # both would show which answers are reversed.
    return answers if name == "probabilities" else answers.argmax(axis=1)
