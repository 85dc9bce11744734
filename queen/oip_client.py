"""A client of the Open Inference Protocol, for any server that speaks it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Self

import grpc
import numpy as np
from numpy.typing import NDArray

from queen.api.oip import open_inference_pb2 as oip
from queen.api.oip import open_inference_pb2_grpc
from queen.errors import ConfigError, InvalidQuery
from queen.wire import CLASS_NAMES, DATATYPES, TYPED_FIELDS

Array = NDArray[Any]

PROBABILITIES = "probabilities"
MAX_MESSAGE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class ModelDescription:
    """A server's description of a model: its input, and the names of its classes if stated."""

    name: str
    input_name: str
    datatype: str
    shape: tuple[int, ...]
    class_names: tuple[str, ...]

    def fit(self, rows: Array) -> Array:
        """Rows (B, ...) as the input's datatype; InvalidQuery if that would change a value."""
        wanted = DATATYPES.get(self.datatype)
        if wanted is None:
            raise InvalidQuery(f"expected a numeric input, got datatype {self.datatype}")
        with np.errstate(all="ignore"):
            fitted = rows.astype(wanted)
        # Rounding to a narrower float counts as no change; losing a fraction to an integer is a
        # change.
        if wanted.kind in "iub" and not np.array_equal(fitted, rows):
            raise InvalidQuery(
                f"input '{self.input_name}' takes {self.datatype}, got {rows.dtype} values "
                "that it cannot hold"
            )
        return fitted


class OipClient:
    """Asks a server, over TLS if there are `credentials`. Its errors arrive as grpc.RpcError."""

    def __init__(
        self,
        endpoint: str,
        key: str | None = None,
        *,
        timeout_seconds: float = 30.0,
        credentials: grpc.ChannelCredentials | None = None,
    ):
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            # Proxies of the environment are not used: the server is named by its address.
            ("grpc.enable_http_proxy", 0),
        ]
        self._channel = (
            grpc.insecure_channel(endpoint, options=options)
            if credentials is None
            else grpc.secure_channel(endpoint, credentials, options=options)
        )
        self._stub = open_inference_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._metadata = [("authorization", f"Bearer {key}")] if key else []
        self._timeout = timeout_seconds

    def describe(self, model: str) -> ModelDescription:
        """The model of that name."""
        answer = self._stub.ModelMetadata(
            oip.ModelMetadataRequest(name=model), timeout=self._timeout, metadata=self._metadata
        )
        if len(answer.inputs) != 1:
            raise ConfigError(f"expected a model of 1 input, '{model}' has {len(answer.inputs)}")
        tensor = answer.inputs[0]
        return ModelDescription(
            answer.name, tensor.name, tensor.datatype, tuple(tensor.shape), _class_names(answer)
        )

    def infer(
        self,
        model: ModelDescription,
        rows: Array,
        *,
        typed: bool = False,
        timeout_seconds: float | None = None,
    ) -> Array:
        """Probabilities (B, C) of rows (B, ...), sent raw or as typed contents.

        `timeout_seconds` replaces the client's own for this request.
        """
        request = infer_request(model, model.fit(rows), typed=typed)
        timeout = self._timeout if timeout_seconds is None else timeout_seconds
        answer = self._stub.ModelInfer(request, timeout=timeout, metadata=self._metadata)
        return read_output(answer, PROBABILITIES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._channel.close()


def infer_request(model: ModelDescription, rows: Array, *, typed: bool) -> oip.ModelInferRequest:
    """A request for the probabilities of rows (B, ...) that have the input's datatype."""
    request = oip.ModelInferRequest(model_name=model.name)
    request.outputs.add(name=PROBABILITIES)
    tensor = request.inputs.add(name=model.input_name, datatype=model.datatype, shape=rows.shape)
    if not typed:
        request.raw_input_contents.append(np.ascontiguousarray(rows).tobytes())
        return request
    field = TYPED_FIELDS.get(model.datatype)
    if field is None:
        raise InvalidQuery(f"{model.datatype} travels in raw form only; leave --typed out")
    getattr(tensor.contents, field).extend(rows.ravel().tolist())
    return request


def read_output(answer: oip.ModelInferResponse, name: str) -> Array:
    """An output by name, in either form; ConfigError if the answer has no such output."""
    for position, tensor in enumerate(answer.outputs):
        if tensor.name == name:
            dtype = DATATYPES[tensor.datatype]
            if answer.raw_output_contents:
                values = np.frombuffer(answer.raw_output_contents[position], dtype)
            else:
                values = np.asarray(getattr(tensor.contents, TYPED_FIELDS[tensor.datatype]), dtype)
            return values.reshape(tuple(tensor.shape))
    got = ", ".join(tensor.name for tensor in answer.outputs) or "none"
    raise ConfigError(f"expected an output '{name}' from the server, got {got}")


def _class_names(answer: oip.ModelMetadataResponse) -> tuple[str, ...]:
    """The names of a model's classes; none if the server does not state them as Queen does."""
    stated = [
        output.parameters[CLASS_NAMES].string_param
        for output in answer.outputs
        if output.name == PROBABILITIES and CLASS_NAMES in output.parameters
    ]
    try:
        names = json.loads("".join(stated))
    except ValueError:
        return ()
    return tuple(str(name) for name in names) if isinstance(names, list) else ()
