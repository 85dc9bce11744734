"""Run ONNX graphs with ONNX Runtime."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray

from queen.errors import FitError
from queen.fit.graph.onnx_file import write_graph

Array = NDArray[Any]


class GraphSession:
    """An ONNX graph, ready to run; FitError if ONNX Runtime refuses it."""

    def __init__(self, graph: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # it also raises all that it would print
        try:
            self._session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise FitError(f"ONNX Runtime cannot load the graph: {_first_line(error)}") from error

    @property
    def inputs(self) -> list[str]:
        """Names of the graph's inputs."""
        return [value.name for value in self._session.get_inputs()]

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> list[Array]:
        """The named outputs, or all; FitError if the graph cannot take these inputs."""
        try:
            answers: list[Array] = self._session.run(outputs, dict(feeds))
        except Exception as error:
            raise FitError(f"ONNX Runtime cannot run the graph: {_first_line(error)}") from error
        return answers


def _first_line(error: Exception) -> str:
    """The message of ONNX Runtime, without its error number and its own source line."""
    words = str(error).strip().splitlines()[0]
    words = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", words)
    return re.sub(r"/onnxruntime_src/\S+:\d+ .*?\) (?=[A-Z])", "", words)[:400]


def constant_array(graph: ir.Graph, value: ir.Value) -> Array | None:
    """The array in `value` if no input of the graph reaches it, else None.

    The nodes before it are run, so a weight may stand behind Identity, Cast, Transpose,
    DequantizeLinear or any other node that an exporter put there.
    """
    tensor = ir.convenience.get_const_tensor(value)
    if tensor is not None:
        return np.asarray(tensor.numpy())
    if value.is_graph_input():
        return None
    try:
        constant = ir.convenience.extract(graph, [], [value])
    except ValueError:  # an input of the graph reaches it
        return None
    return GraphSession(write_graph(ir.Model(constant, ir_version=10))).run({})[0]
