"""ONNX files whose weights lie elsewhere, made by the library that the reader does without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from queen.bundle.onnx_file import require_no_external_data
from queen.errors import BundleCorrupt


def external(name: str = "w") -> TensorProto:
    """A tensor whose values lie in another file."""
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/shadow")
    return tensor


def graph_of(*initializers: TensorProto, nodes: tuple[onnx.NodeProto, ...] = ()) -> onnx.GraphProto:
    """A graph with these tensors and nodes."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    identity = helper.make_node("Identity", ["x"], ["y"])
    shown = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])
    return helper.make_graph([identity, *nodes], "g", [value], [shown], list(initializers))


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    """The file of a model."""
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def in_a_branch() -> onnx.ModelProto:
    """A tensor in the branch of a node, a graph of its own."""
    branch = helper.make_node("If", ["c"], ["z"], then_branch=graph_of(external()))
    return helper.make_model(graph_of(nodes=(branch,)))


def in_an_attribute() -> onnx.ModelProto:
    """A tensor that is a constant."""
    return helper.make_model(
        graph_of(nodes=(helper.make_node("Constant", [], ["z"], value=external()),))
    )


def in_a_function() -> onnx.ModelProto:
    """A tensor in a function of the model."""
    node = helper.make_node("Constant", [], ["z"], value=external())
    function = helper.make_function("own", "f", [], ["z"], [node], [])
    return helper.make_model(graph_of(), functions=[function])


def in_a_sparse_tensor() -> onnx.ModelProto:
    """The values of a sparse tensor."""
    model = helper.make_model(graph_of())
    model.graph.sparse_initializer.add().values.CopyFrom(external())
    return model


def by_location_alone() -> onnx.ModelProto:
    """A tensor that says it is elsewhere, and not where."""
    tensor = external()
    tensor.ClearField("external_data")
    return helper.make_model(graph_of(tensor))


@pytest.mark.parametrize(
    "make",
    [
        lambda: helper.make_model(graph_of(external())),
        by_location_alone,
        in_a_branch,
        in_an_attribute,
        in_a_function,
        in_a_sparse_tensor,
    ],
)
def test_weights_in_another_file_are_refused(make, tmp_path: Path) -> None:
    """Wherever in the model the tensor is: ONNX Runtime would read whatever file it names."""
    with pytest.raises(BundleCorrupt, match="a tensor that refers to another file"):
        require_no_external_data(saved(make(), tmp_path))


def test_weights_in_the_file_are_stepped_over(tmp_path: Path) -> None:
    """Whatever their bytes look like, and in every kind of field."""
    looks_alike = numpy_helper.from_array(np.frombuffer(external().SerializeToString(), "u1"), "w")
    numbers = helper.make_tensor("n", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0])
    nodes = (
        helper.make_node("Constant", [], ["z"], value=numbers, alpha=0.5, beta=3, names=["a"]),
    )
    model = helper.make_model(graph_of(looks_alike, numbers, nodes=nodes))
    require_no_external_data(saved(model, tmp_path))


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x3a\xff\xff\x03", b"\x3b" * 9])
def test_bytes_that_are_no_message_are_refused(content: bytes, tmp_path: Path) -> None:
    """They end in the middle of a field, or have a kind of field that ONNX does not use."""
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(BundleCorrupt, match=r"model\.onnx: expected an ONNX file"):
        require_no_external_data(path)


def field(number: int, content: bytes) -> bytes:
    """A field of bytes, as protobuf writes it."""
    length, size = b"", len(content)
    while size >= 0x80:
        length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def test_a_nest_without_end_is_refused(tmp_path: Path) -> None:
    """Graphs in graphs, deeper than any model and than Python's stack."""
    graph = b""
    for _ in range(2000):
        graph = field(1, field(5, field(6, graph)))
    path = tmp_path / "model.onnx"
    path.write_bytes(field(7, graph))
    with pytest.raises(BundleCorrupt, match="expected an ONNX file"):
        require_no_external_data(path)
