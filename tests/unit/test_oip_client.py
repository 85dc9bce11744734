"""Our client, against a server that speaks the protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest

from queen.api.oip import open_inference_pb2 as oip
from queen.api.oip import open_inference_pb2_grpc
from queen.errors import ConfigError, InvalidQuery
from queen.oip_client import ModelDescription, OipClient, infer_request, read_output
from queen.wire import decode_input, encode_response
from tests.unit.test_wire import signature

MODEL = ModelDescription("small", "x", "FP32", (-1, 2), ("cat", "dog"))


class Server(open_inference_pb2_grpc.GRPCInferenceServiceServicer):
    """Gives each row's numbers back, in the form of the request; class names as it is told."""

    def __init__(self) -> None:
        self.class_names: str | None = json.dumps(["cat", "dog"])
        self.inputs = 1
        self.metadata: dict[str, str] = {}

    def ModelMetadata(self, request: Any, _context: Any) -> oip.ModelMetadataResponse:  # noqa: N802 - gRPC's names
        """The description of a model with the name that is asked for."""
        response = oip.ModelMetadataResponse(name=request.name)
        for _ in range(self.inputs):
            response.inputs.add(name="x", datatype="FP32", shape=[-1, 2])
        response.outputs.add(name="label", datatype="INT64", shape=[-1])
        tensor = response.outputs.add(name="probabilities", datatype="FP32", shape=[-1, 2])
        if self.class_names is not None:
            tensor.parameters["class_names"].string_param = self.class_names
        return response

    def ModelInfer(self, request: Any, context: Any) -> oip.ModelInferResponse:  # noqa: N802 - gRPC's names
        """The input as the output."""
        self.metadata = dict(context.invocation_metadata())
        rows, raw = decode_input(request, signature(), 100)
        return encode_response(request, {"probabilities": rows}, raw=raw, version="1")


@pytest.fixture
def server() -> Server:
    """A server whose behavior a test may change."""
    return Server()


@pytest.fixture
def client(server: Server) -> Iterator[OipClient]:
    """A client of the running server."""
    with ThreadPoolExecutor(1) as executor:
        process = grpc.server(executor)
        open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(server, process)
        port = process.add_insecure_port("127.0.0.1:0")
        process.start()
        with OipClient(f"127.0.0.1:{port}", "key") as opened:
            yield opened
        process.stop(0).wait()


def test_a_model_is_described(client: OipClient) -> None:
    """By its input, and the names of its classes."""
    assert client.describe("small") == MODEL


@pytest.mark.parametrize("names", [None, "", "cat, dog", "{}"])
def test_class_names_may_be_missing(client: OipClient, server: Server, names: str | None) -> None:
    """Other servers state none, or put anything there."""
    server.class_names = names
    assert client.describe("small").class_names == ()


def test_a_model_of_several_inputs_is_refused(client: OipClient, server: Server) -> None:
    """The client can fill only one."""
    server.inputs = 2
    with pytest.raises(ConfigError, match="expected a model of 1 input, 'small' has 2"):
        client.describe("small")


@pytest.mark.parametrize("typed", [False, True])
def test_rows_are_sent_in_either_form(client: OipClient, server: Server, typed: bool) -> None:
    """And come back in it, with the key as the credential."""
    rows = np.arange(6, dtype=np.float64).reshape(3, 2)
    np.testing.assert_array_equal(client.infer(MODEL, rows, typed=typed), rows)
    assert server.metadata["authorization"] == "Bearer key"


def test_rows_fit_the_input_or_are_refused() -> None:
    """Rounding to a narrower float is no change; a fraction lost to an integer is."""
    whole = ModelDescription("m", "x", "UINT8", (-1, 2), ())
    assert MODEL.fit(np.array([[0.1, 2]])).dtype == np.float32
    assert whole.fit(np.array([[1.0, 2.0]])).dtype == np.uint8
    with pytest.raises(InvalidQuery, match="takes UINT8, got float64 values"):
        whole.fit(np.array([[1.5, 2.0]]))
    with pytest.raises(InvalidQuery, match="expected a numeric input, got datatype BYTES"):
        ModelDescription("m", "x", "BYTES", (-1, 2), ()).fit(np.zeros((1, 2)))


def test_half_precision_goes_in_raw_form_only() -> None:
    """The protocol has no typed field for it."""
    half = ModelDescription("m", "x", "FP16", (-1, 2), ())
    rows = np.zeros((1, 2), np.float16)
    assert infer_request(half, rows, typed=False).raw_input_contents == [bytes(4)]
    with pytest.raises(InvalidQuery, match="FP16 travels in raw form only"):
        infer_request(half, rows, typed=True)


def test_an_output_that_is_missing_is_named() -> None:
    """With the outputs that are there."""
    answer = oip.ModelInferResponse()
    answer.outputs.add(name="label", datatype="INT64", shape=[0])
    with pytest.raises(ConfigError, match=r"expected an output 'probabilities'.* got label"):
        read_output(answer, "probabilities")
