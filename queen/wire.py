"""Conversion between protobuf and NumPy, pure: no transport, no state.

Numbers travel little-endian and row-major. Between the services tensors are raw bytes;
at the front door a request may use raw bytes or the protocol's typed contents, and is
answered in its own form.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queen.api.oip import open_inference_pb2 as oip
from queen.api.v1 import perturber_pb2, sensitivity_pb2
from queen.bundle.manifest import TensorSignature
from queen.errors import BatchTooLarge, BundleMismatch, InvalidQuery, ShapeMismatch
from queen.method.contracts import Profile
from queen.method.facts import FACTS, FactArray

Array = NDArray[Any]

DATATYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
}
"""NumPy type of each Open Inference Protocol datatype that a protectee's input can have."""

MOST_NAME_BYTES = 256
"""Bytes of an id, a name or a version of a request, in UTF-8."""
MOST_SHOWN = 8
MOST_CHARACTERS = 64
"""Most names, extents and characters of a request that an error repeats."""

TYPED_FIELDS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}
"""Typed field of each datatype; FP16 has none, since the protocol allows it in raw form only."""
_TYPED_BYTES = {
    # A negative number has ten bytes, whatever its width.
    **dict.fromkeys(("INT8", "INT16", "INT32", "INT64", "UINT64"), 10),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), 5),
    "BOOL": 1,
    "FP32": 4,
    "FP64": 8,
}
"""Most bytes of an element in packed typed contents."""
REQUEST_MARGIN_BYTES = 64 * 2**10
"""Bytes of a request for all that is not its tensor: names, parameters, lengths."""
CLASS_NAMES = "class_names"
"""Parameter of a model's output `probabilities`: the names of its classes, as a JSON list."""
PROFILES = {
    perturber_pb2.PROFILE_PAPER: Profile.PAPER,
    perturber_pb2.PROFILE_BALANCED: Profile.BALANCED,
    perturber_pb2.PROFILE_STRICT: Profile.STRICT,
}
"""The profiles whose flagged queries the perturber answers, by their number in its requests."""
_FACT_NAMES = FACTS.names or ()
_NAMES = {dtype: name for name, dtype in DATATYPES.items()}


def require_bundle(served: str, got: str) -> None:
    """BundleMismatch if a request was made with another bundle; both are digests."""
    if served != got:
        raise BundleMismatch(
            f"expected bundle {served[:12]}, got {got[:12] or 'none'}: "
            "restart both services with the same bundle"
        )


def require_rows(rows: int, most: int, field: str) -> None:
    """InvalidQuery for a request without rows, BatchTooLarge for one of more than `most`."""
    if rows == 0:
        raise InvalidQuery(f"{field}: expected at least 1 row, got 0", field=field)
    if rows > most:
        raise BatchTooLarge(f"expected at most {most} rows, got {rows}", field=field)


def require_short(text: str, field: str) -> None:
    """InvalidQuery for an id, a name or a version of more than MOST_NAME_BYTES."""
    # Counted only where it can matter: a character has at most four bytes.
    if len(text) > MOST_NAME_BYTES // 4:
        size = len(text.encode())
        if size > MOST_NAME_BYTES:
            raise InvalidQuery(
                f"{field}: expected at most {MOST_NAME_BYTES} bytes, got {size}", field=field
            )


def require_finite(values: NDArray[np.floating], field: str) -> None:
    """InvalidQuery for NaN or infinity in the tensor of a field."""
    if not np.isfinite(values).all():
        raise InvalidQuery(f"{field}: expected finite numbers, got NaN or infinity", field=field)


def datatype_of(dtype: np.dtype[Any]) -> str:
    """Protocol name of a NumPy type; ShapeMismatch if the protocol has none."""
    name = _NAMES.get(np.dtype(dtype).newbyteorder("<"))
    if name is None:
        raise ShapeMismatch(f"expected one of {', '.join(DATATYPES)}, got {dtype}")
    return name


def tensor_bytes(array: Array, dtype: str = "<f4") -> bytes:
    """Row-major bytes of `array` as `dtype`."""
    return np.ascontiguousarray(array, dtype).tobytes()


def read_tensor(data: bytes, dtype: str, shape: Sequence[int], field: str) -> Array:
    """Array over `data`, read-only, without a copy; the first extent may be -1.

    Raises ShapeMismatch, naming `field`, if the byte count does not fit.
    """
    itemsize = np.dtype(dtype).itemsize
    row = itemsize * math.prod(shape[1:])
    expected = f"a multiple of {row}" if shape[0] < 0 else str(row * shape[0])
    if len(data) % row if shape[0] < 0 else len(data) != row * shape[0]:
        raise ShapeMismatch(f"{field}: expected {expected} bytes, got {len(data)}", field=field)
    return np.frombuffer(data, dtype).reshape(shape)


def encode_facts(facts: FactArray) -> sensitivity_pb2.Facts:
    """Facts (B,) as a message, with a raw tensor for each of their fields."""
    return sensitivity_pb2.Facts(**{name: facts[name].tobytes() for name in _FACT_NAMES})


def read_facts(message: sensitivity_pb2.Facts, rows: int) -> FactArray:
    """Facts (B,) of a message; ShapeMismatch, naming the field, if a byte count does not fit."""
    facts = np.empty(rows, FACTS)
    for name in _FACT_NAMES:
        field = f"AssessResponse.facts.{name}"
        facts[name] = read_tensor(getattr(message, name), FACTS[name].str, (rows,), field)
    return facts


def most_request_bytes(signature: TensorSignature, max_rows: int) -> int:
    """Bytes of the largest request of `max_rows` rows, raw or typed, names and parameters too."""
    dtype = DATATYPES[signature.datatype]
    widest = max(dtype.itemsize, _TYPED_BYTES.get(signature.datatype, 0))
    return widest * max_rows * math.prod(signature.shape[1:]) + REQUEST_MARGIN_BYTES


def decode_input(
    request: oip.ModelInferRequest, signature: TensorSignature, max_rows: int
) -> tuple[Array, bool]:
    """The protectee's input (B, ...) and whether it came in raw form.

    Raises InvalidQuery (or ShapeMismatch, BatchTooLarge) that says expected and got.
    """
    _require_only_input(request, signature)
    tensor = request.inputs[0]
    shape = _require_shape(tensor, signature, max_rows)
    raw = len(request.raw_input_contents) > 0
    values = _raw_values(request, shape) if raw else _typed_values(tensor, shape)
    _require_finite(values, signature.name)
    return values, raw


def requested_outputs(request: oip.ModelInferRequest, known: Sequence[str]) -> Sequence[str]:
    """Names of the outputs to send: those asked for, in their order, or the first known.

    Raises InvalidQuery for a name that is unknown or asked for twice.
    """
    if not request.outputs:
        return known[:1]
    if len(request.outputs) > len(known):
        raise InvalidQuery(
            f"expected at most {len(known)} outputs, got {len(request.outputs)}", field="outputs"
        )
    names = [output.name for output in request.outputs]
    for position, name in enumerate(names):
        if name not in known:
            raise InvalidQuery(
                f"expected outputs among {', '.join(known)}, got '{_brief(name)}'",
                field="outputs",
            )
        if name in names[:position]:
            raise InvalidQuery(f"expected each output once, got '{name}' twice", field="outputs")
    return names


def encode_response(
    request: oip.ModelInferRequest, outputs: Mapping[str, Array], *, raw: bool, version: str
) -> oip.ModelInferResponse:
    """The response to `request` with `outputs` by name, raw or typed as the request was."""
    response = oip.ModelInferResponse(
        model_name=request.model_name, model_version=version, id=request.id
    )
    for name, array in outputs.items():
        datatype = datatype_of(array.dtype)
        little = array.astype(DATATYPES[datatype], copy=False)
        tensor = response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        if raw:
            response.raw_output_contents.append(little.tobytes())
        else:
            # Extending a field by a list is ten times faster than by an array.
            getattr(tensor.contents, TYPED_FIELDS[datatype]).extend(little.ravel().tolist())
    return response


def _require_only_input(request: oip.ModelInferRequest, signature: TensorSignature) -> None:
    # Counts first: a message can hold a million empty tensors, whose names would cost time.
    count = len(request.inputs)
    if count != 1:
        names = [tensor.name for tensor in request.inputs[:MOST_SHOWN]]
        raise InvalidQuery(
            f"expected 1 input, '{signature.name}', got {count}{_listed(names, count)}",
            field="inputs",
        )
    name = request.inputs[0].name
    if name != signature.name:
        raise InvalidQuery(
            f"expected input '{signature.name}', got '{_brief(name)}'", field="inputs[0].name"
        )
    if request.inputs[0].datatype != signature.datatype:
        raise ShapeMismatch(
            f"input '{signature.name}': expected datatype {signature.datatype}, "
            f"got '{_brief(request.inputs[0].datatype)}'",
            field="inputs[0].datatype",
        )


def _require_shape(
    tensor: oip.ModelInferRequest.InferInputTensor, signature: TensorSignature, max_rows: int
) -> tuple[int, ...]:
    expected = signature.shape
    got = tuple(tensor.shape[: max(MOST_SHOWN, len(expected) + 1)])
    fits = len(got) == len(expected) and all(
        extent > 0 if wanted < 0 else extent == wanted
        for extent, wanted in zip(got, expected, strict=True)
    )
    if not fits:
        raise ShapeMismatch(
            f"input '{tensor.name}': expected shape {list(expected)} with at least 1 row, "
            f"got {_brief(str(list(got[:MOST_SHOWN])))}",
            field="inputs[0].shape",
        )
    if got[0] > max_rows:
        raise BatchTooLarge(
            f"input '{tensor.name}': expected at most {max_rows} rows, got {got[0]}",
            field="inputs[0].shape",
        )
    return got


def _raw_values(request: oip.ModelInferRequest, shape: tuple[int, ...]) -> Array:
    tensor, blobs = request.inputs[0], request.raw_input_contents
    if len(blobs) != 1:
        raise InvalidQuery(
            f"expected 1 entry of raw_input_contents for 1 input, got {len(blobs)}",
            field="raw_input_contents",
        )
    if tensor.HasField("contents"):
        raise InvalidQuery(
            f"input '{tensor.name}': expected contents or raw_input_contents, got both",
            field="inputs[0].contents",
        )
    dtype = DATATYPES[tensor.datatype]
    expected = math.prod(shape) * dtype.itemsize
    if len(blobs[0]) != expected:
        raise ShapeMismatch(
            f"input '{tensor.name}': expected {expected} bytes for shape {list(shape)} of "
            f"{tensor.datatype}, got {len(blobs[0])}",
            field="raw_input_contents[0]",
        )
    _require_booleans(blobs[0], dtype, tensor.name)
    return np.frombuffer(blobs[0], dtype).reshape(shape)


def _require_booleans(blob: bytes, dtype: np.dtype[Any], name: str) -> None:
    # NumPy reads other bytes as truth values that equal neither True nor False.
    largest = np.frombuffer(blob, np.uint8).max() if dtype.kind == "b" else 0
    if largest > 1:
        raise InvalidQuery(
            f"input '{name}': expected bytes of 0 or 1 for BOOL, got {largest}",
            field="raw_input_contents[0]",
        )


def _typed_values(tensor: oip.ModelInferRequest.InferInputTensor, shape: tuple[int, ...]) -> Array:
    field = TYPED_FIELDS.get(tensor.datatype)
    if field is None:
        raise InvalidQuery(
            f"input '{tensor.name}': {tensor.datatype} goes in raw_input_contents, got contents",
            field="inputs[0].contents",
        )
    contents = getattr(tensor.contents, field)
    if len(contents) != math.prod(shape):
        raise ShapeMismatch(
            f"input '{tensor.name}': expected {math.prod(shape)} elements in {field} for shape "
            f"{list(shape)}, got {len(contents)}{_other_fields(tensor, field)}",
            field=f"inputs[0].contents.{field}",
        )
    return _narrow(np.asarray(contents), DATATYPES[tensor.datatype], tensor.name).reshape(shape)


def _narrow(values: Array, dtype: np.dtype[Any], name: str) -> Array:
    """Values in the datatype's width; typed contents carry 8 and 16 bit integers in 32 bits."""
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        if values.min() < bounds.min or values.max() > bounds.max:
            raise InvalidQuery(
                f"input '{name}': expected values in {bounds.min}..{bounds.max}, got one outside",
                field="inputs[0].contents",
            )
    return values.astype(dtype, copy=False)


def _require_finite(values: Array, name: str) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InvalidQuery(
            f"input '{name}': expected finite numbers, got NaN or infinity", field="inputs[0]"
        )


def _other_fields(tensor: oip.ModelInferRequest.InferInputTensor, field: str) -> str:
    filled = [descriptor.name for descriptor, _ in tensor.contents.ListFields()]
    others = [name for name in filled if name != field]
    return f"; {', '.join(others)} is not the field of {tensor.datatype}" if others else ""


def _listed(names: Sequence[str], count: int) -> str:
    text = ", ".join(f"'{_brief(name)}'" for name in names)
    more = ", ..." if count > len(names) else ""
    return f": {text}{more}" if text else ""


def _brief(text: str) -> str:
    """A text of the caller's, short enough for an error that travels in a header."""
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}..."
