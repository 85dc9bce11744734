"""Make the batch axis of a graph dynamic, and check that it is."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from queen.errors import FitError
from queen.fit.graph.session import Array, GraphSession, constant_array

BATCH = "batch"
CHECKED_BATCHES = (1, 2, 5)


def free_batch_axis(graph: ir.Graph, value: ir.Value) -> int | None:
    """Replace a fixed batch extent of the input `value` by a free one; returns the fixed extent.

    Shapes that an exporter noted inside the graph are dropped, and a Reshape whose target
    begins with the fixed extent is changed to keep the batch of its input. None for an axis
    that is free already; FitError for a scalar input.
    """
    shape = value.shape
    if shape is None or not len(shape):
        raise FitError(f"the graph's input {value.name!r}: expected a batch axis, got a scalar")
    fixed = shape[0] if isinstance(shape[0], int) else None
    value.shape = ir.Shape([ir.SymbolicDim(BATCH), *shape[1:]])
    if fixed is None:
        return None
    for node in graph.all_nodes():
        for output in node.outputs:
            output.shape = None
    for node in list(graph):
        if node.op_type == "Reshape":
            _free_reshape(graph, node, fixed)
    return fixed


def _free_reshape(graph: ir.Graph, node: ir.Node, fixed: int) -> None:
    moved, target = node.inputs[0], node.inputs[1]
    if moved is None or target is None or constant_array(graph, moved) is not None:
        return
    shape = constant_array(graph, target)
    if shape is None or not shape.size or int(shape[0]) != fixed:
        return
    # In a target, 0 keeps the extent of the reshaped tensor, and -1, allowed once, means the rest.
    free = np.array([0 if -1 in shape[1:] else -1, *shape[1:]], np.int64)
    name = f"queen_{target.name}_free"
    value = ir.Value(
        name=name,
        type=ir.TensorType(ir.DataType.INT64),
        shape=ir.Shape([len(free)]),
        const_value=ir.tensor(free),
    )
    if name not in graph.initializers:
        graph.register_initializer(value)
    node.replace_input_with(1, graph.initializers[name])
    node.attributes.pop("allowzero", None)  # with it, 0 would mean an empty axis


def require_free_batch(
    session: GraphSession, name: str, samples: Array, outputs: list[str], fixed: int | None
) -> None:
    """Run batches of 1, 2 and 5 of `samples` (5, ...) and compare their rows.

    Raises FitError, which says how to export the model again.
    """
    single = [session.run({name: samples[i : i + 1]}, outputs) for i in range(len(samples))]
    alone = [np.concatenate(rows) for rows in zip(*single, strict=True)]
    for size in CHECKED_BATCHES:
        try:
            together = session.run({name: samples[:size]}, outputs)
        except FitError as error:
            raise FitError(f"a batch of {size} cannot run: {error}; {_advice(name, fixed)}") from (
                error
            )
        for output, rows, batch in zip(outputs, alone, together, strict=True):
            if batch.shape != rows[:size].shape:
                raise FitError(
                    f"{output} of a batch of {size}: expected shape {rows[:size].shape}, got "
                    f"{batch.shape}; {_advice(name, fixed)}"
                )
            if not np.allclose(batch, rows[:size], rtol=1e-3, atol=_tolerance(rows)):
                raise FitError(
                    f"{output} of a row changes with the rest of its batch; export the model "
                    "in evaluation mode (model.eval() in Torch)"
                )


def _tolerance(values: Array) -> float:
    return 1e-3 * max(float(np.abs(values).max(initial=0.0)), 1e-6)


def _advice(name: str, fixed: int | None) -> str:
    held = "its batch axis" if fixed is None else f"its batch axis of {fixed}"
    return (
        f"the graph keeps {held} fixed: export it again with a dynamic one, "
        f"dynamic_shapes={{{name!r}: {{0: 'batch'}}}} (dynamo=True) or "
        f"dynamic_axes={{{name!r}: {{0: 'batch'}}}} (dynamo=False)"
    )
