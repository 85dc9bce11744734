from __future__ import annotations

import numpy as np
import pytest

from queen.errors import InvalidQuery, ShapeMismatch
from queen.wire import (
    DATATYPES,
    TYPED_FIELDS,
    datatype_of,
    encode_response,
    read_tensor,
    requested_outputs,
    tensor_bytes,
)
from tests.unit.test_wire import ROUND_TRIPS, Request, extremes


@pytest.mark.parametrize(("datatype", "raw"), ROUND_TRIPS)
def test_every_datatype_is_answered_in_the_form_of_its_request(datatype: str, raw: bool) -> None:
    """What is encoded decodes to the same values; raw answers have no contents, and vice versa."""
    values = extremes(datatype)
    response = encode_response(Request(), {"y": values}, raw=raw, version="1")
    (output,) = response.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("y", datatype, [2, 2])
    assert output.HasField("contents") is not raw
    if raw:
        (blob,) = response.raw_output_contents
        np.testing.assert_array_equal(np.frombuffer(blob, DATATYPES[datatype]), values.ravel())
    else:
        assert not response.raw_output_contents
        got = list(getattr(output.contents, TYPED_FIELDS[datatype]))
        np.testing.assert_array_equal(np.array(got, DATATYPES[datatype]), values.ravel())


def test_a_response_says_what_it_answers() -> None:
    """The id and the model come back; outputs keep their order, raw ones theirs."""
    request = Request(model_name="m", id="request-9")
    outputs = {"label": np.array([3], np.int64), "probabilities": np.eye(2, dtype=np.float32)}
    response = encode_response(request, outputs, raw=True, version="2")
    assert (response.id, response.model_name, response.model_version) == ("request-9", "m", "2")
    assert [output.name for output in response.outputs] == ["label", "probabilities"]
    assert [len(blob) for blob in response.raw_output_contents] == [8, 16]


@pytest.mark.parametrize("raw", [True, False])
def test_any_memory_layout_is_written_little_endian_and_row_major(raw: bool) -> None:
    """A big-endian, transposed view is written as the numbers it stands for."""
    values = np.arange(6, dtype=">f4").reshape(3, 2).T
    response = encode_response(Request(), {"y": values}, raw=raw, version="1")
    if raw:
        got = np.frombuffer(response.raw_output_contents[0], "<f4")
    else:
        got = np.array(response.outputs[0].contents.fp32_contents)
    assert got.tolist() == [0, 2, 4, 1, 3, 5]


def _asking(*names: str) -> Request:
    return Request(outputs=[Request.InferRequestedOutputTensor(name=name) for name in names])


def test_outputs_come_as_they_were_asked_for() -> None:
    """In the caller's order; without a wish, the first."""
    known = ("probabilities", "label")
    assert list(requested_outputs(_asking("label", "probabilities"), known)) == [
        "label",
        "probabilities",
    ]
    assert list(requested_outputs(_asking(), known)) == ["probabilities"]


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["logits"], "expected outputs among probabilities, label, got 'logits'"),
        (["label", "label"], "expected each output once, got 'label' twice"),
        (["label"] * 3, "expected at most 2 outputs, got 3"),
        (["label", ""], "expected outputs among probabilities, label, got ''"),
    ],
)
def test_outputs_that_cannot_be_sent_are_refused(names: list[str], problem: str) -> None:
    """Unknown names and duplicates say expected and got."""
    with pytest.raises(InvalidQuery) as error:
        requested_outputs(_asking(*names), ("probabilities", "label"))
    assert str(error.value) == problem
    assert error.value.field == "outputs"


@pytest.mark.parametrize("dtype", ["<f4", "<i4", "<u4", "u1", "<f8"])
def test_internal_tensors_come_back(dtype: str) -> None:
    """Bytes and back, with the first extent given or inferred, whatever the layout in memory."""
    values = np.arange(12).reshape(4, 3).T.astype(dtype)
    data = tensor_bytes(values, dtype)
    for shape in [(3, 4), (-1, 4)]:
        read = read_tensor(data, dtype, shape, "rows")
        np.testing.assert_array_equal(read, values)
        assert not read.flags.writeable


@pytest.mark.parametrize(
    ("size", "shape", "expected"),
    [(20, (3, 2), "24"), (28, (3, 2), "24"), (20, (-1, 2), "a multiple of 8"), (3, (-1,), "4")],
)
def test_internal_tensors_of_another_size_are_refused(
    size: int, shape: tuple[int, ...], expected: str
) -> None:
    """The field is named, with the bytes expected and got."""
    with pytest.raises(ShapeMismatch, match=rf"rows: expected .*{expected} bytes, got {size}"):
        read_tensor(b"\0" * size, "<f4", shape, "rows")


def test_internal_tensors_may_be_empty() -> None:
    """No bytes are no rows."""
    assert read_tensor(b"", "<f4", (-1, 2), "rows").shape == (0, 2)
    assert read_tensor(b"", "<f4", (0, 2), "rows").shape == (0, 2)


def test_datatypes_have_the_names_of_the_protocol() -> None:
    """In any byte order; a type that the protocol does not have is refused."""
    assert datatype_of(np.dtype(">f8")) == "FP64"
    assert datatype_of(np.dtype("?")) == "BOOL"
    assert {datatype_of(dtype) for dtype in DATATYPES.values()} == set(DATATYPES)
    with pytest.raises(ShapeMismatch, match="got complex64"):
        datatype_of(np.dtype(np.complex64))
