"""Our own client of the Open Inference Protocol, synchronous and small."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from queen.api.oip import open_inference_pb2 as oip
from queen.api.oip import open_inference_pb2_grpc as oip_grpc
from queen.errors import ModelNotFound
from queen.wire import DATATYPES, datatype_of

LARGEST_MESSAGE_BYTES = 64 * 2**20


class OipClient:
    """Asks one model behind one address; gRPC errors come out as they are.

    `model` empty takes the name that the server gives as its own (`ServerMetadata`
    extensions name no model, so Queen's servers answer ModelMetadata for the empty name).
    """

    def __init__(
        self, endpoint: str, key: str = "", *, model: str = "", timeout_seconds: float = 60.0
    ) -> None:
        options = [("grpc.max_receive_message_length", LARGEST_MESSAGE_BYTES)]
        self._channel = grpc.insecure_channel(endpoint, options)
        self._stub = oip_grpc.GRPCInferenceServiceStub(self._channel)
        self._metadata = (("authorization", f"Bearer {key}"),) if key else ()
        self._model = model
        self._timeout = timeout_seconds
        self._description: oip.ModelMetadataResponse | None = None

    def metadata(self) -> oip.ModelMetadataResponse:
        """Inputs, outputs and properties of the model; asked for once."""
        if self._description is None:
            request = oip.ModelMetadataRequest(name=self._model)
            self._description = self._stub.ModelMetadata(
                request, timeout=self._timeout, metadata=self._metadata
            )
            if not self._description.inputs:
                raise ModelNotFound(f"the server describes no input of model '{self._model}'")
        return self._description

    def infer(
        self, inputs: NDArray[Any], *, typed: bool = False, output: str = "probabilities"
    ) -> NDArray[Any]:
        """The `output` for inputs (B, ...), (B, C) for probabilities; raw tensors unless `typed`.

        Inputs are sent as they are; a type that the model does not take is refused by the
        server, in its own words.
        """
        description = self.metadata()
        request = oip.ModelInferRequest(model_name=description.name)
        request.outputs.add(name=output)
        tensor = request.inputs.add(
            name=description.inputs[0].name,
            datatype=datatype_of(inputs.dtype),
            shape=inputs.shape,
        )
        if typed:
            _fill(tensor.contents, inputs)
        else:
            request.raw_input_contents.append(np.ascontiguousarray(inputs).tobytes())
        response = self._stub.ModelInfer(request, timeout=self._timeout, metadata=self._metadata)
        return read_output(response, output)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()

    def __enter__(self) -> OipClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_output(response: oip.ModelInferResponse, name: str) -> NDArray[Any]:
    """The output called `name` of a response, raw or typed."""
    for place, tensor in enumerate(response.outputs):
        if tensor.name == name:
            dtype = DATATYPES[tensor.datatype]
            if response.raw_output_contents:
                flat = np.frombuffer(response.raw_output_contents[place], dtype)
            else:
                (_, values), *_ = tensor.contents.ListFields()
                flat = np.asarray(values, dtype)
            return flat.reshape(tuple(tensor.shape))
    raise ModelNotFound(f"expected output '{name}', got {[t.name for t in response.outputs]}")


def _fill(contents: oip.InferTensorContents, inputs: NDArray[Any]) -> None:
    """Typed contents; FP16 has none and is left to the server to refuse."""
    fields = {"f": "fp", "b": "bool_contents", "i": "int", "u": "uint"}
    kind, size = inputs.dtype.kind, inputs.dtype.itemsize
    field = fields[kind]
    if kind == "f":
        field = f"fp{8 * size}_contents"
    elif kind in "iu":
        field = f"{field}64_contents" if size == 8 else f"{field}_contents"
    getattr(contents, field).extend(inputs.ravel().tolist())
