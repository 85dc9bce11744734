"""The count of a message's fields, made without making objects of them."""

from __future__ import annotations

import pytest

from queen.api.oip import open_inference_pb2 as oip
from queen.api.v1 import sensitivity_pb2 as pb
from queen.errors import MalformedMessage
from queen.serving.edge.fields import plan_of, require_few_fields

PLAN = plan_of(oip.ModelInferRequest.DESCRIPTOR)
MOST = 100


def typed(**contents: list[float]) -> oip.ModelInferRequest:
    """A request with typed contents."""
    request = oip.ModelInferRequest(model_name="small", id="x" * 300)
    request.parameters["sequence"].int64_param = -1
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[1, 784])
    tensor.contents.MergeFrom(oip.InferTensorContents(**contents))
    return request


def test_numbers_in_packed_form_are_one_field() -> None:
    """So an honest request has few, whatever its size."""
    data = typed(fp32_contents=[0.5] * 784, int64_contents=[-1] * 784).SerializeToString()
    require_few_fields(data, PLAN, 13)
    with pytest.raises(MalformedMessage, match="at most 8 fields"):
        require_few_fields(data, PLAN, 8)


def test_repeated_messages_are_counted_wherever_they_lie() -> None:
    """Tensors, byte strings within a tensor, and parameters of a request."""
    tensors = oip.ModelInferRequest(inputs=[oip.ModelInferRequest.InferInputTensor()] * 101)
    strings, parameters = oip.ModelInferRequest(), oip.ModelInferRequest()
    strings.inputs.add().contents.bytes_contents.extend([b""] * 101)
    for order in range(101):
        parameters.parameters[str(order)].bool_param = True
    for request in (tensors, strings, parameters):
        with pytest.raises(MalformedMessage, match="at most 100 fields"):
            require_few_fields(request.SerializeToString(), PLAN, MOST)


def test_the_cost_ends_at_the_first_field_too_many() -> None:
    """What comes behind is not looked at, though it is no message."""
    tensor = oip.ModelInferRequest(inputs=[oip.ModelInferRequest.InferInputTensor()])
    data = tensor.SerializeToString() * 101 + b"\xff" * 1000
    with pytest.raises(MalformedMessage, match="at most 100 fields"):
        require_few_fields(data, PLAN, MOST)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x0a", id="no length"),
        pytest.param(b"\x0a\x05abc", id="too short"),
        pytest.param(b"\x2a\x03\x0a\x05a", id="a part longer than its whole"),
        pytest.param(b"\x2b\x2c", id="a group"),
        pytest.param(b"\x0f", id="wire type 7"),
        pytest.param(b"\x08" + b"\xff" * 11, id="a number without an end"),
        pytest.param(b"\x09abc", id="half a number"),
    ],
)
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    """Before a parser sees them."""
    with pytest.raises(MalformedMessage):
        require_few_fields(data, PLAN, MOST)


def test_messages_without_repetition_are_not_walked_into() -> None:
    """An account's policy is one field of the request, however many parts it has."""
    policy = pb.AccountPolicy(account_id="a", budget=1, group="g", breadth=2, class_cap=3)
    data = pb.AssessRequest(accounts=[policy] * 10).SerializeToString()
    require_few_fields(data, plan_of(pb.AssessRequest.DESCRIPTOR), 10)


def test_numbers_of_every_width_are_skipped() -> None:
    """Unknown fields, too: a later version of the protocol may have more."""
    data = b"\x78\xff\x01" + b"\x79" + bytes(8) + b"\x7d" + bytes(4) + b"\xfa\x01\x02ab"
    require_few_fields(data, PLAN, 4)
    with pytest.raises(MalformedMessage):
        require_few_fields(data, PLAN, 3)
