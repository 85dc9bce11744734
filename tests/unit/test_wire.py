from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from queen.api.oip import open_inference_pb2 as oip
from queen.bundle import TensorSignature
from queen.errors import BatchTooLarge, InvalidQuery, ShapeMismatch
from queen.wire import (
    DATATYPES,
    MOST_CHARACTERS,
    TYPED_FIELDS,
    decode_input,
    requested_outputs,
    require_finite,
    require_rows,
)

Request = oip.ModelInferRequest
Array = NDArray[Any]
MAX_ROWS = 8


def signature(datatype: str = "FP32", shape: tuple[int, ...] = (-1, 2)) -> TensorSignature:
    """The input of a protectee."""
    return TensorSignature(name="x", datatype=datatype, shape=list(shape))


def raw_request(array: Array, datatype: str = "FP32", **changes: Any) -> Request:
    """A request that carries `array` as raw bytes."""
    tensor = {"name": "x", "datatype": datatype, "shape": array.shape} | changes
    return Request(
        id="7", inputs=[Request.InferInputTensor(**tensor)], raw_input_contents=[array.tobytes()]
    )


def typed_request(values: list[Any], shape: tuple[int, ...], datatype: str, field: str) -> Request:
    """A request that carries `values` in a typed field."""
    contents = oip.InferTensorContents(**{field: values})
    tensor = Request.InferInputTensor(name="x", datatype=datatype, shape=shape, contents=contents)
    return Request(inputs=[tensor])


def refusal(request: Request, expected: type[InvalidQuery] = InvalidQuery, **of: Any) -> str:
    """The message with which decoding refuses a request, and its field after it."""
    with pytest.raises(expected) as error:
        decode_input(request, signature(**of), MAX_ROWS)
    return f"{error.value} [{error.value.field}]"


def extremes(datatype: str) -> Array:
    """Values (2, 2) at both ends of a datatype's range."""
    dtype = DATATYPES[datatype]
    if dtype.kind == "b":
        return np.array([[True, False], [False, True]])
    info = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    return np.array([[info.min, info.max], [0, 1]], dtype)


ROUND_TRIPS = [(name, True) for name in DATATYPES] + [(name, False) for name in TYPED_FIELDS]


@pytest.mark.parametrize(("datatype", "raw"), ROUND_TRIPS)
def test_every_datatype_is_read_at_both_ends_of_its_range(datatype: str, raw: bool) -> None:
    """Raw and typed requests arrive bit by bit, in the datatype's own NumPy type."""
    values = extremes(datatype)
    request = (
        raw_request(values, datatype)
        if raw
        else typed_request(values.ravel().tolist(), (2, 2), datatype, TYPED_FIELDS[datatype])
    )
    decoded, came_raw = decode_input(request, signature(datatype), MAX_ROWS)
    assert came_raw is raw
    assert decoded.dtype == DATATYPES[datatype]
    np.testing.assert_array_equal(decoded, values)


def test_unknown_parameters_are_ignored() -> None:
    """Clients add parameters of their own, to requests, inputs and outputs."""
    request = raw_request(np.ones((1, 2), np.float32))
    request.parameters["priority"].uint64_param = 3
    request.inputs[0].parameters["binary_data_size"].int64_param = 8
    decoded, _ = decode_input(request, signature(), MAX_ROWS)
    assert decoded.tolist() == [[1, 1]]


def test_axes_other_than_the_first_may_vary_too() -> None:
    """-1 in a signature takes any positive extent."""
    values = np.ones((2, 5, 3), np.float32)
    decoded, _ = decode_input(raw_request(values), signature(shape=(-1, -1, 3)), MAX_ROWS)
    assert decoded.shape == (2, 5, 3)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([], "expected 1 input, 'x', got 0 [inputs]"),
        (["x", "y"], "expected 1 input, 'x', got 2: 'x', 'y' [inputs]"),
        (["y"], "expected input 'x', got 'y' [inputs[0].name]"),
        ([""], "expected input 'x', got '' [inputs[0].name]"),
    ],
)
def test_wrong_inputs_are_told_apart(names: list[str], problem: str) -> None:
    """None, too many and misnamed inputs each say expected and got."""
    request = Request(inputs=[Request.InferInputTensor(name=name) for name in names])
    assert refusal(request) == problem


@pytest.mark.parametrize("datatype", ["FP64", "fp32", "BYTES", "BF16", ""])
def test_another_datatype_is_refused(datatype: str) -> None:
    """The graph takes one type, and the message says which."""
    message = refusal(raw_request(np.ones((1, 2), np.float32), datatype), ShapeMismatch)
    assert message == f"input 'x': expected datatype FP32, got '{datatype}' [inputs[0].datatype]"


@pytest.mark.parametrize(
    "shape",
    [(), (2,), (1, 3), (1, 2, 1), (0, 2), (-1, 2), (1, -2), (1, 0), (2**62, 2**62), (1, 2**62)],
)
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    """Wrong rank or extent, zero rows, negative extents, and products beyond 64 bits."""
    request = raw_request(np.ones((1, 2), np.float32), shape=shape)
    message = refusal(request, ShapeMismatch)
    expected = f"expected shape [-1, 2] with at least 1 row, got {list(shape)} [inputs[0].shape]"
    assert message == f"input 'x': {expected}"


def test_a_caller_may_not_leave_extents_open() -> None:
    """-1 is the signature's word: two of them would even have a product that fits the bytes."""
    request = raw_request(np.ones(1, np.float32), shape=(-1, -1))
    assert "got [-1, -1]" in refusal(request, ShapeMismatch, shape=(-1, -1))


def test_a_shape_whose_product_overflows_is_refused_by_its_bytes() -> None:
    """Where axes may vary, a product beyond 64 bits is a byte count that never arrives."""
    request = raw_request(np.ones((1, 2), np.float32), shape=(4, 2**62, 2**62))
    message = refusal(request, ShapeMismatch, shape=(-1, -1, -1))
    assert f"expected {4 * 4 * 2**124} bytes" in message


def test_too_many_rows_are_refused() -> None:
    """The limit is inclusive, and another error than a wrong shape: split and retry."""
    decode_input(raw_request(np.ones((8, 2), np.float32)), signature(), MAX_ROWS)
    message = refusal(raw_request(np.ones((9, 2), np.float32)), BatchTooLarge)
    assert message == "input 'x': expected at most 8 rows, got 9 [inputs[0].shape]"


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_another_byte_count_is_refused(size: int) -> None:
    """The sentence that Triton's clients know: bytes expected and got."""
    request = raw_request(np.ones((2, 2), np.float32))
    request.raw_input_contents[0] = b"\0" * size
    assert refusal(request, ShapeMismatch) == (
        f"input 'x': expected 16 bytes for shape [2, 2] of FP32, got {size} [raw_input_contents[0]]"
    )


def test_another_count_of_raw_entries_is_refused() -> None:
    """One entry for each input, no more."""
    request = raw_request(np.ones((1, 2), np.float32))
    request.raw_input_contents.append(b"")
    assert refusal(request) == (
        "expected 1 entry of raw_input_contents for 1 input, got 2 [raw_input_contents]"
    )


def test_contents_beside_raw_bytes_are_refused() -> None:
    """Raw is all or nothing, even where the contents are empty."""
    request = raw_request(np.ones((1, 2), np.float32))
    request.inputs[0].contents.SetInParent()
    assert refusal(request) == (
        "input 'x': expected contents or raw_input_contents, got both [inputs[0].contents]"
    )


@pytest.mark.parametrize("count", [0, 3, 5])
def test_another_count_of_typed_elements_is_refused(count: int) -> None:
    """As many elements as the shape says, in the field of the datatype."""
    request = typed_request([1.0] * count, (2, 2), "FP32", "fp32_contents")
    assert refusal(request, ShapeMismatch) == (
        f"input 'x': expected 4 elements in fp32_contents for shape [2, 2], got {count} "
        "[inputs[0].contents.fp32_contents]"
    )


def test_elements_in_the_field_of_another_datatype_are_named() -> None:
    """A client that fills fp64_contents for FP32 is told so."""
    request = typed_request([1.0, 2.0], (1, 2), "FP32", "fp64_contents")
    assert "got 0; fp64_contents is not the field of FP32" in refusal(request, ShapeMismatch)


def test_half_precision_has_no_typed_field() -> None:
    """The protocol allows FP16 in raw form only."""
    request = typed_request([1.0, 2.0], (1, 2), "FP16", "fp32_contents")
    assert refusal(request, datatype="FP16") == (
        "input 'x': FP16 goes in raw_input_contents, got contents [inputs[0].contents]"
    )


@pytest.mark.parametrize(
    ("datatype", "value", "bounds"),
    [
        ("INT8", 128, "-128..127"),
        ("INT8", -129, "-128..127"),
        ("INT16", 2**15, "-32768..32767"),
        ("UINT8", 256, "0..255"),
        ("UINT16", 2**16, "0..65535"),
    ],
)
def test_an_integer_out_of_range_is_refused(datatype: str, value: int, bounds: str) -> None:
    """Narrow integers travel in 32 bits; one that does not fit is not wrapped around."""
    request = typed_request([0, value], (1, 2), datatype, TYPED_FIELDS[datatype])
    message = refusal(request, datatype=datatype)
    assert message.startswith(f"input 'x': expected values in {bounds}, got one outside")


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_numbers_that_are_not_finite_are_refused(datatype: str, broken: float) -> None:
    """NaN would pass every comparison of the method unseen; raw and typed alike."""
    values = np.array([[0, broken]], DATATYPES[datatype])
    requests = [raw_request(values, datatype)]
    if datatype in TYPED_FIELDS:
        field = TYPED_FIELDS[datatype]
        requests.append(typed_request(values.ravel().tolist(), (1, 2), datatype, field))
    for request in requests:
        message = refusal(request, datatype=datatype)
        assert message == "input 'x': expected finite numbers, got NaN or infinity [inputs[0]]"


def test_a_byte_that_is_no_truth_value_is_refused() -> None:
    """NumPy would make of 2 a truth value that equals neither."""
    request = raw_request(np.array([[0, 2]], np.uint8), "BOOL")
    assert "expected bytes of 0 or 1 for BOOL, got 2" in refusal(request, datatype="BOOL")


def test_what_the_caller_sent_is_repeated_in_brief() -> None:
    """An error travels in a header: a name of a megabyte must not."""
    huge = "n" * 1_000_000
    tensor = Request.InferInputTensor
    requests = [
        Request(inputs=[tensor(name=huge)]),
        Request(inputs=[tensor(name=huge), tensor(name=huge)]),
        Request(inputs=[tensor(name=str(number)) for number in range(10_000)]),
        Request(inputs=[tensor(name="x", datatype=huge)]),
        Request(inputs=[tensor(name="x", datatype="FP32", shape=[2**62] * 100_000)]),
    ]
    for request in requests:
        assert len(refusal(request)) < 300 + 2 * MOST_CHARACTERS
    with pytest.raises(InvalidQuery) as error:
        requested_outputs(Request(outputs=[Request.InferRequestedOutputTensor(name=huge)]), ["p"])
    assert len(str(error.value)) < 200


def test_a_request_has_at_least_a_row_and_at_most_so_many() -> None:
    """The field that says how many is named."""
    require_rows(1, 4, "labels")
    require_rows(4, 4, "labels")
    with pytest.raises(InvalidQuery, match="labels: expected at least 1 row") as empty:
        require_rows(0, 4, "labels")
    assert empty.value.field == "labels"
    with pytest.raises(BatchTooLarge, match="at most 4 rows, got 5"):
        require_rows(5, 4, "labels")


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_numbers_of_a_request_are_finite(odd: float) -> None:
    """A NaN would pass every comparison that should stop it."""
    require_finite(np.zeros((2, 2)), "embeddings")
    with pytest.raises(InvalidQuery, match="embeddings: expected finite numbers"):
        require_finite(np.array([0.0, odd]), "embeddings")
