"""Fuse the mapping network g into the protectee's graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from queen.errors import FitError
from queen.fit.graph.batch_axis import BATCH
from queen.fit.graph.session import Array, GraphSession
from queen.fit.graph.surgery import EMBEDDINGS, FEATURES, Protectee
from queen.method.mapping import LEAK


@dataclass(frozen=True, eq=False)
class MappingWeights:
    """The weights of g: z = A_n relu(... relu(A_1 (f - mean) / scale + b_1)) + b_n, relu leaky.

    `mean` and `scale` (D,); `layers` pairs of A (out, in) and b (out,), all float32.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]

    @property
    def embedding_width(self) -> int:
        """E."""
        return len(self.layers[-1][1])


def fuse_mapping(protectee: Protectee, mapping: MappingWeights) -> None:
    """Add the output embeddings (B, E) = g(features); edits the protectee's graph."""
    graph = protectee.model.graph
    features = next(value for value in graph.outputs if value.name == FEATURES)
    # Not folded into the first layer: a mean that is subtracted after the product costs digits.
    hidden = _append(graph, "Sub", [features, _weight(graph, "mean", mapping.mean)], "centered")
    hidden = _append(graph, "Div", [hidden, _weight(graph, "scale", mapping.scale)], "standard")
    for index, (weight, bias) in enumerate(mapping.layers):
        if index:
            hidden = _append(graph, "LeakyRelu", [hidden], f"relu_{index}", alpha=LEAK)
        named = (_weight(graph, f"A_{index}", weight), _weight(graph, f"b_{index}", bias))
        hidden = _append(graph, "Gemm", [hidden, *named], f"layer_{index}", transB=1)
    hidden.name = EMBEDDINGS
    hidden.shape = ir.Shape([ir.SymbolicDim(BATCH), mapping.embedding_width])
    graph.outputs.append(hidden)


def fused_graph(protectee: Protectee, x: Array, embeddings: NDArray[np.float32]) -> bytes:
    """The ONNX file of the graph, once it gives the `embeddings` (B, E) of `x` (B, ...)."""
    graph = protectee.graph_bytes()
    got = GraphSession(graph).run({protectee.input.name: x}, [EMBEDDINGS])[0]
    scale = max(float(np.abs(embeddings).max()), 1e-6)
    if got.shape != embeddings.shape or np.abs(got - embeddings).max() > 1e-3 * scale:
        raise FitError("the fused graph does not give the embeddings of the mapping network")
    return graph


def _append(
    graph: ir.Graph, op_type: str, inputs: list[ir.Value], name: str, **attributes: float
) -> ir.Value:
    node = ir.node(op_type, inputs, attributes, name=f"queen_{name}")
    graph.append(node)
    result = node.outputs[0]
    result.name = f"queen_{name}"
    result.type = ir.TensorType(ir.DataType.FLOAT)
    return result


def _weight(graph: ir.Graph, name: str, array: NDArray[np.float32]) -> ir.Value:
    value = ir.Value(
        name=f"queen_mapping_{name}",
        type=ir.TensorType(ir.DataType.FLOAT),
        shape=ir.Shape(array.shape),
        const_value=ir.tensor(np.ascontiguousarray(array, np.float32)),
    )
    graph.register_initializer(value)
    return value
