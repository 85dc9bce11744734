from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from hypothesis import event, given, settings
from hypothesis import strategies as st

from queen.api.oip import open_inference_pb2 as oip
from queen.bundle import TensorSignature
from queen.errors import InvalidQuery
from queen.wire import DATATYPES, TYPED_FIELDS, decode_input, encode_response, requested_outputs

Request = oip.ModelInferRequest
fuzzed = settings(derandomize=True, deadline=None, max_examples=300)

_INT32, _INT64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
_ELEMENTS: dict[str, st.SearchStrategy[Any]] = {
    "bool_contents": st.booleans(),
    "int_contents": _INT32,
    "int64_contents": _INT64,
    "uint_contents": st.integers(0, 2**32 - 1),
    "uint64_contents": st.integers(0, 2**64 - 1),
    "fp32_contents": st.floats(width=32),
    "fp64_contents": st.floats(),
    "bytes_contents": st.binary(max_size=8),
}
_names = st.sampled_from(["x", "x", "x", "y", "", "../x", "x\n"]) | st.text(max_size=5)
_datatypes = st.sampled_from([*DATATYPES, "BYTES", "BF16", "", "float32"])
_extents = st.sampled_from([-1, 0, 1, 2, 3, 4, 2**31, 2**62, 2**63 - 1, -(2**63)]) | _INT64
_signatures = st.builds(
    TensorSignature,
    name=st.just("x"),
    datatype=st.sampled_from(list(DATATYPES)),
    shape=st.sampled_from([[-1], [-1, 2], [-1, -1], [-1, 1, 2]]),
)


@st.composite
def _contents(draw: st.DrawFn) -> oip.InferTensorContents:
    fields = draw(st.lists(st.sampled_from(list(_ELEMENTS)), max_size=2, unique=True))
    return oip.InferTensorContents(
        **{field: draw(st.lists(_ELEMENTS[field], max_size=6)) for field in fields}
    )


@st.composite
def _tensors(draw: st.DrawFn) -> Any:
    contents = draw(st.none() | _contents())
    return Request.InferInputTensor(
        name=draw(_names),
        datatype=draw(_datatypes),
        shape=draw(st.lists(_extents, max_size=4)),
        contents=contents,
    )


_any_requests = st.builds(
    Request,
    inputs=st.lists(_tensors(), max_size=2),
    outputs=st.lists(st.builds(Request.InferRequestedOutputTensor, name=_names), max_size=2),
    raw_input_contents=st.lists(st.binary(max_size=24), max_size=2),
)


@st.composite
def _nearly_right(draw: st.DrawFn) -> tuple[TensorSignature, Request]:
    """A request that fits its signature but for its elements, and for a byte now and then."""
    signature = draw(_signatures)
    rows = st.sampled_from([1, 2, 3, 4, -1])
    shape = [draw(rows) if extent < 0 else extent for extent in signature.shape]
    tensor = Request.InferInputTensor(name="x", datatype=signature.datatype, shape=shape)
    count = abs(int(np.prod(shape)))
    request = Request(inputs=[tensor])
    if signature.datatype not in TYPED_FIELDS or draw(st.booleans()):
        size = count * DATATYPES[signature.datatype].itemsize + draw(st.sampled_from([0, 0, 1]))
        request.raw_input_contents.append(draw(st.binary(min_size=size, max_size=size)))
    else:
        field = TYPED_FIELDS[signature.datatype]
        count += draw(st.sampled_from([0, 0, 0, 1]))
        values = draw(st.lists(_ELEMENTS[field], min_size=count, max_size=count))
        getattr(request.inputs[0].contents, field).extend(values)
    return signature, request


def _decodes_or_refuses(request: Request, signature: TensorSignature) -> None:
    try:
        requested_outputs(request, ("x", "y"))
        values, raw = decode_input(request, signature, max_rows=3)
    except InvalidQuery:
        event("refused")
        return
    event("decoded")
    assert values.dtype == DATATYPES[signature.datatype]
    assert list(values.shape) == list(request.inputs[0].shape)
    assert 1 <= len(values) <= 3
    assert values.dtype.kind != "f" or np.isfinite(values).all()
    encode_response(request, {"y": values}, raw=raw, version="1")


@given(_any_requests, _signatures)
@fuzzed
def test_any_request_is_decoded_or_refused(request: Request, signature: TensorSignature) -> None:
    """Whatever a caller sends, the only error is InvalidQuery."""
    _decodes_or_refuses(request, signature)


@given(_nearly_right())
@fuzzed
def test_nearly_right_requests_are_decoded_or_refused(
    sent: tuple[TensorSignature, Request],
) -> None:
    """The same for requests that come through most checks, with elements of any value."""
    signature, request = sent
    _decodes_or_refuses(request, signature)


@given(_nearly_right(), st.data())
@fuzzed
def test_damaged_messages_are_decoded_or_refused(
    sent: tuple[TensorSignature, Request], data: st.DataObject
) -> None:
    """A message with a few bytes overwritten is no message, or one like any other."""
    signature, request = sent
    wire = bytearray(request.SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    try:
        damaged = Request.FromString(bytes(wire))
    except DecodeError:
        return
    _decodes_or_refuses(damaged, signature)
