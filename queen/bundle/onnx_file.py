"""The references of an ONNX file to other files, found without the library `onnx`.

The file is read as protobuf, by the field numbers of `onnx.proto`; tensors are stepped over.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from queen.errors import BundleCorrupt

_TENSOR = "tensor"
_FIELDS = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: _TENSOR, 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: _TENSOR, 6: "graph", 10: _TENSOR, 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: _TENSOR, 2: _TENSOR},
    _TENSOR: {},
}
"""Kinds of messages that may hold a tensor, by the message they lie in and their field's number."""
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_VARINT, _EIGHT_BYTES, _TEXT, _FOUR_BYTES = 0, 1, 2, 5
_DEEPEST = 64


def require_no_external_data(path: Path) -> None:
    """BundleCorrupt if a tensor of the ONNX file lies in another file.

    ONNX Runtime would read that file from wherever the tensor says, and no digest covers it.
    """
    if path.stat().st_size == 0:
        raise BundleCorrupt(f"{path}: expected an ONNX file, got an empty one")
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            is_external = _refers(data, (0, len(data)), "model")
        except (IndexError, RecursionError) as error:
            raise BundleCorrupt(f"{path}: expected an ONNX file, got other bytes") from error
    if is_external:
        raise BundleCorrupt(
            f"{path}: expected all weights in the file itself, got a tensor that refers to another "
            "file, which no digest covers; fit the bundle again"
        )


def _refers(data: mmap.mmap, span: tuple[int, int], kind: str, depth: int = 0) -> bool:
    """Whether a message, or one within it, is a tensor that refers to another file."""
    if depth > _DEEPEST:
        raise RecursionError
    for key, value in _fields(data, *span):
        if isinstance(value, tuple):
            if kind == _TENSOR and key == _EXTERNAL_DATA:
                return True
            inner = _FIELDS[kind].get(key)
            if inner is not None and _refers(data, value, inner, depth + 1):
                return True
        elif kind == _TENSOR and key == _DATA_LOCATION and value != 0:
            return True
    return False


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int | tuple[int, int]]]:
    """Number and value of each field: a whole number, or the span of bytes that it has."""
    while at < end:
        tag, at = _varint(data, at, end)
        key, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at, end)
            yield key, value
            continue
        if wire == _TEXT:
            length, at = _varint(data, at, end)
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if wire == _EIGHT_BYTES else 4
        else:
            raise IndexError
        if at + length > end:
            raise IndexError
        if wire == _TEXT:
            yield key, (at, at + length)
        at += length


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """A whole number and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise IndexError
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise IndexError
