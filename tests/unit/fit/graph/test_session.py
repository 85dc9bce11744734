from pathlib import Path

import numpy as np
import onnx
import pytest

from queen.errors import FitError
from queen.fit.graph.onnx_file import read_graph
from queen.fit.graph.session import GraphSession, constant_array
from tests.unit.fit.graph.graphs import (
    FEATURES,
    SAMPLES,
    WEIGHT,
    WEIGHTS,
    answers,
    logits_of,
    opened,
    write_model,
)


def test_a_graph_newer_than_the_runtime_is_refused_in_its_words(tmp_path: Path) -> None:
    """The versions are said, the runtime's own source lines are not."""
    path = write_model(tmp_path / "m.onnx", FEATURES + "y = MatMul(f, W)")
    model = onnx.load(path)
    model.ir_version = 99
    onnx.save(model, path)
    with pytest.raises(FitError, match=r"graph: Unsupported model IR version: 99, max"):
        answers(opened(path), SAMPLES)


def test_outputs_are_run_by_name(tmp_path: Path) -> None:
    """The named outputs, or all of them where none is named."""
    path = write_model(tmp_path / "m.onnx", FEATURES + "y = Gemm(f, W, b)")
    session = GraphSession(path.read_bytes())
    assert session.inputs == ["x"]
    (everything,) = session.run({"x": SAMPLES})
    (named,) = session.run({"x": SAMPLES}, ["y"])
    np.testing.assert_array_equal(everything, named)
    np.testing.assert_allclose(named, logits_of(SAMPLES), rtol=1e-5, atol=1e-5)


def test_inputs_that_the_graph_cannot_read_are_refused(tmp_path: Path) -> None:
    """Rows of another width end in the words of ONNX Runtime, without its own source lines."""
    path = write_model(tmp_path / "m.onnx", FEATURES + "y = Gemm(f, W, b)")
    with pytest.raises(FitError, match="ONNX Runtime cannot run the graph: Got invalid dim"):
        GraphSession(path.read_bytes()).run({"x": SAMPLES[:, :3]})


def test_constants_are_read_through_the_nodes_before_them(tmp_path: Path) -> None:
    """A weight behind Transpose is a constant; a tensor that the input reaches is none."""
    body = FEATURES + "w = Transpose<perm = [1, 0]>(V)\n y = MatMul(f, w)"
    weights = WEIGHTS | {"V": np.ascontiguousarray(WEIGHT.T)}
    graph = read_graph(write_model(tmp_path / "m.onnx", body, weights)).graph
    features, weight = graph.outputs[0].producer().inputs
    np.testing.assert_array_equal(constant_array(graph, weight), WEIGHT)
    assert constant_array(graph, features) is None
    assert constant_array(graph, graph.inputs[0]) is None
