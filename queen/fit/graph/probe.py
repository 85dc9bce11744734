"""Read a linear head by running it, for a features tensor that the operator names."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from queen.errors import FitError
from queen.fit.graph.head_search import Head
from queen.fit.graph.onnx_file import write_graph
from queen.fit.graph.session import Array, GraphSession

_ROWS = 512


def probe_head(graph: ir.Graph, features: ir.Value, logits: ir.Value) -> Head:
    """W and b of logits = W f + b from the logits of f = 0 and of every unit vector.

    That the head is linear at all is not checked here: the training set shows it.
    Raises FitError if the logits depend on the query in another way than through f.
    """
    shape = _extents(features)
    tail = _between(graph, features, logits)
    width = int(np.prod(shape))
    dtype = (features.dtype or ir.DataType.FLOAT).numpy()
    basis = np.concatenate([np.zeros((1, width)), np.eye(width)]).astype(dtype)
    answers = [
        _run(tail, features, basis[start : start + _ROWS].reshape(-1, *shape))
        for start in range(0, len(basis), _ROWS)
    ]
    rows = np.concatenate(answers).astype(np.float64)
    return Head(features, False, (rows[1:] - rows[0]).T, rows[0])


def _run(tail: GraphSession, features: ir.Value, rows: Array) -> Array:
    answers = tail.run({features.name or "": rows})[0]
    return answers.reshape(len(answers), -1)


def _between(graph: ir.Graph, features: ir.Value, logits: ir.Value) -> GraphSession:
    try:
        tail = ir.convenience.extract(graph, [features], [logits])
    except ValueError as error:
        raise FitError(
            f"--features {features.name}: the logits also depend on the query in another way"
        ) from error
    for value in (*tail.inputs, *tail.outputs):
        value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
    return GraphSession(write_graph(ir.Model(tail, ir_version=10)))


def _extents(features: ir.Value) -> list[int]:
    shape = None if features.shape is None else list(features.shape)[1:]
    if not shape or not all(isinstance(extent, int) for extent in shape):
        raise FitError(
            f"--features {features.name}: expected a tensor (batch, width) of known width, got "
            f"{features.shape}"
        )
    return [int(extent) for extent in shape if isinstance(extent, int)]
