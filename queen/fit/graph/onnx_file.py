"""Read a protectee's ONNX file into a graph that can be edited."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError, EncodeError
from onnx_ir.passes.common import InlinePass, ShapeInferencePass

from queen.errors import FitError

OLDEST_OPSET = 7
"""Oldest version of the operators in which Gemm and Sub broadcast as they do here."""

LARGEST_BYTES = 2**31 - 1
"""Size limit of a protobuf message, and so of an .onnx file without side files."""


def read_graph(path: Path) -> ir.Model:
    """The model at `path` with its weights, functions inlined and types inferred.

    Weights kept beside the file are read with it. Raises FitError for a file that is
    missing, not ONNX, too old, or too large for one file.
    """
    proto = _read_proto(path)
    _require_opset(path, proto)
    _open_maps(proto.graph)
    model = ir.from_proto(proto)
    if model.functions:
        InlinePass()(model)
    return infer_types(model)


def infer_types(model: ir.Model) -> ir.Model:
    """Note type and shape of every tensor in the graph, as far as they can be told."""
    # Not strict: ONNX Runtime may be able to run a node whose shapes cannot be told.
    return ShapeInferencePass(check_type=False, strict_mode=False)(model).model


def write_graph(model: ir.Model) -> bytes:
    """The model as the bytes of an .onnx file; FitError if one file cannot hold it."""
    try:
        return ir.to_proto(model).SerializeToString(deterministic=True)
    except (ValueError, EncodeError) as error:
        raise FitError(
            f"the graph with its weights does not fit the {LARGEST_BYTES} bytes of one ONNX file"
        ) from error


def _read_proto(path: Path) -> onnx.ModelProto:
    try:
        proto = onnx.load(path)
    except FileNotFoundError as error:
        raise FitError(f"{path}: no such file, or weights kept beside it are missing") from error
    except OSError as error:
        raise FitError(f"{path}: cannot be read ({error.strerror})") from error
    except onnx.checker.ValidationError as error:
        raise FitError(
            f"{path}: its weights are in another file that is missing or damaged; put that "
            "file beside it, or export with external_data=False"
        ) from error
    except (DecodeError, ValueError) as error:
        raise FitError(f"{path}: not an ONNX file") from error
    if not proto.graph.node:
        raise FitError(f"{path}: not an ONNX file, or one without a single node")
    if proto.ByteSize() > LARGEST_BYTES:
        raise FitError(
            f"{path}: expected at most {LARGEST_BYTES} bytes with weights, got {proto.ByteSize()}"
        )
    return proto


def _require_opset(path: Path, proto: onnx.ModelProto) -> None:
    for entry in proto.opset_import:
        if entry.domain in ("", "ai.onnx") and entry.version < OLDEST_OPSET:
            raise FitError(
                f"{path}: expected operators of version {OLDEST_OPSET} or later, got "
                f"{entry.version}; export it again with a newer opset_version"
            )


def _open_maps(graph: onnx.GraphProto) -> None:
    """Turn the dictionaries that skl2onnx answers with into tensors, and drop other non-tensors."""
    opened = set()
    for node in graph.node:
        if node.op_type == "ZipMap":
            opened.add(node.output[0])
            node.CopyFrom(onnx.helper.make_node("Identity", node.input, node.output))
    outputs = list(graph.output)
    del graph.output[:]
    for output in outputs:
        if output.name in opened:
            output.type.CopyFrom(onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None))
        if output.type.WhichOneof("value") == "tensor_type":
            graph.output.append(output)
    kept = [info for info in graph.value_info if info.type.WhichOneof("value") == "tensor_type"]
    del graph.value_info[:]
    graph.value_info.extend(kept)
