"""ONNX surgery: from the operator's classifier to a graph with the outputs of a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import (
    ClearMetadataAndDocStringPass,
    NameFixPass,
    RemoveUnusedNodesPass,
    RemoveUnusedOpsetsPass,
)

from queen.bundle.manifest import OUTPUTS
from queen.errors import FitError, ShapeMismatch
from queen.fit.graph.batch_axis import BATCH, free_batch_axis
from queen.fit.graph.head_search import Head, Logits, behind_transparent, find_head, find_logits
from queen.fit.graph.onnx_file import infer_types, write_graph
from queen.fit.graph.probe import probe_head
from queen.fit.graph.session import Array
from queen.wire import datatype_of

AUTO = "auto"
PROBABILITIES, LOGITS, FEATURES, EMBEDDINGS = OUTPUTS


@dataclass(frozen=True)
class InputTensor:
    """The graph's input: numpy `dtype`, protocol `datatype`, `shape` without the batch.

    An extent is None where the graph leaves it open.
    """

    name: str
    dtype: np.dtype[Any]
    datatype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class Protectee:
    """A classifier opened up: `model` answers probabilities (B, C), logits (B, C), features (B, D).

    All three are float32. `weight` (C, D) and `bias` (C,) are the head's, float64;
    `own_softmax` says that the probabilities are the classifier's own and not added here;
    `half_precision` that the head computes in 16 bits;
    `fixed_batch` is the batch extent that the exporter had fixed, if it had.
    """

    model: ir.Model
    input: InputTensor
    weight: Array
    bias: Array
    features_tensor: str
    own_softmax: bool
    half_precision: bool
    fixed_batch: int | None

    @property
    def rounding(self) -> float:
        """Relative error of a sum in the least precise type that the graph may compute in."""
        return 1e-2 if self.half_precision else 1e-4

    def graph_bytes(self) -> bytes:
        """The graph as an .onnx file, without the nodes that no output needs."""
        _prune(self.model)
        return write_graph(self.model)


def open_protectee(model: ir.Model, output: str | None = None, features: str = AUTO) -> Protectee:
    """Find logits and features of a classifier and make them outputs; edits `model`.

    `output` names the tensor that holds the answer (default: the output that leads to
    a linear head), `features` the tensor that the logits are linear in.
    Raises FitError that names the tensor or node that was reached instead.
    """
    graph = model.graph
    source = _only_input(graph)
    described = _describe(source)
    fixed = free_batch_axis(graph, source)
    if fixed is not None:
        infer_types(model)
    logits, head = _search(graph, output) if features == AUTO else _named(graph, output, features)
    _require_shapes(head)
    tensor = head.features.name or ""
    _expose(graph, logits, head)
    return Protectee(
        model,
        described,
        head.weight,
        head.bias,
        tensor,
        logits.probabilities is not None,
        _is_half(logits.value) or _is_half(head.features),
        fixed,
    )


def _only_input(graph: ir.Graph) -> ir.Value:
    inputs = [value for value in graph.inputs if not value.is_initializer()]
    if len(inputs) != 1:
        names = ", ".join(str(value.name) for value in inputs) or "none"
        raise FitError(f"expected a graph with 1 input, got {len(inputs)}: {names}")
    if inputs[0].name in OUTPUTS:
        raise FitError(
            f"the graph's input is named {inputs[0].name!r}, which is an output of every bundle; "
            "export the model with another input name"
        )
    return inputs[0]


def _describe(source: ir.Value) -> InputTensor:
    if source.dtype is None or source.shape is None:
        raise FitError(f"the graph's input {source.name!r}: expected a tensor with type and shape")
    try:
        dtype = np.dtype(source.dtype.numpy())
        datatype = datatype_of(dtype)
    except (TypeError, ShapeMismatch) as error:
        raise FitError(
            f"the graph's input {source.name!r}: expected a numeric type, got {source.dtype.name}"
        ) from error
    shape = tuple(extent if isinstance(extent, int) else None for extent in source.shape[1:])
    return InputTensor(source.name or "", dtype, datatype, shape)


def _search(graph: ir.Graph, output: str | None) -> tuple[Logits, Head]:
    """Logits and head behind the named output, or behind the one output that has a head."""
    if output is not None:
        logits = find_logits(_tensor(graph, output, "--output"))
        return logits, find_head(graph, logits.value)
    pairs: list[tuple[Logits, Head]] = []
    refusals: list[FitError] = []
    for candidate in _float_outputs(graph):
        try:
            logits = find_logits(candidate)
            pairs.append((logits, find_head(graph, logits.value)))
        except FitError as refusal:
            refusals.append(refusal)
    if not pairs:
        raise refusals[0] if refusals else FitError("the graph has no float output")
    if len({id(head.features) for _, head in pairs}) > 1:
        names = ", ".join(str(value.name) for value in graph.outputs)
        raise FitError(f"several outputs have a linear head: choose one of {names} with --output")
    # Several outputs share one head: logits and their softmax. The softmax is the answer.
    return max(pairs, key=lambda pair: pair[0].probabilities is not None)


def _named(graph: ir.Graph, output: str | None, features: str) -> tuple[Logits, Head]:
    """Logits and head, where the operator names the features tensor."""
    value = _tensor(graph, features, "--features")
    candidates = [_tensor(graph, output, "--output")] if output else _float_outputs(graph)
    if len(candidates) != 1:
        names = ", ".join(str(candidate.name) for candidate in candidates) or "none"
        raise FitError(f"expected 1 float output, got {names}: choose one with --output")
    logits = find_logits(candidates[0])
    try:
        head = find_head(graph, logits.value)
        if behind_transparent(value) is behind_transparent(head.features):
            return logits, head
    except FitError:
        pass  # the probe may read a head that the search cannot
    return logits, probe_head(graph, value, logits.value)


def _float_outputs(graph: ir.Graph) -> list[ir.Value]:
    return [
        value for value in graph.outputs if value.dtype is None or value.dtype.is_floating_point()
    ]


def _tensor(graph: ir.Graph, name: str, option: str) -> ir.Value:
    values = ir.convenience.create_value_mapping(graph, include_subgraphs=False)
    if name not in values:
        known = [str(output.name) for node in graph for output in node.outputs][-8:]
        raise FitError(
            f"{option} {name}: the graph has no such tensor; its last ones are {', '.join(known)}"
        )
    return values[name]


def _require_shapes(head: Head) -> None:
    classes, width = head.weight.shape
    if classes < 2:
        raise FitError(
            f"expected a head with at least 2 classes, got {classes}: a binary classifier needs "
            "two logits (export it with a softmax over two outputs)"
        )
    if width < 1 or not (np.isfinite(head.weight).all() and np.isfinite(head.bias).all()):
        raise FitError("the head's weights are not finite")


def _is_half(value: ir.Value) -> bool:
    return value.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def _expose(graph: ir.Graph, logits: Logits, head: Head) -> None:
    """Replace the graph's outputs by probabilities, logits and features, float32 (B, ...)."""
    classes, width = head.weight.shape
    graph.outputs.clear()
    exposed = _output(graph, logits.value, LOGITS, classes)
    if logits.probabilities is None:
        node = ir.node("Softmax", [exposed], {"axis": 1}, name="queen_softmax", num_outputs=1)
        graph.append(node)
        answer = _output(graph, node.outputs[0], PROBABILITIES, classes)
    else:
        answer = _output(graph, logits.probabilities, PROBABILITIES, classes)
    value = head.features
    if head.transposed:
        node = ir.node("Transpose", [value], {"perm": [1, 0]}, name="queen_upright")
        graph.append(node)
        value = node.outputs[0]
    graph.outputs.extend([answer, exposed, _output(graph, value, FEATURES, width)])


def _output(graph: ir.Graph, value: ir.Value, name: str, width: int) -> ir.Value:
    """A new tensor `name` with the numbers of `value`, float32 (batch, width)."""
    # Added for every type and rank: ONNX Runtime drops a Cast or a Flatten that does nothing.
    cast = ir.node("Cast", [value], {"to": int(ir.DataType.FLOAT)}, name=f"queen_{name}_float32")
    flat = ir.node("Flatten", [cast.outputs[0]], {"axis": 1}, name=f"queen_{name}_rows")
    graph.extend([cast, flat])
    result = flat.outputs[0]
    result.name = name
    result.type = ir.TensorType(ir.DataType.FLOAT)
    result.shape = ir.Shape([ir.SymbolicDim(BATCH), width])
    return result


def _prune(model: ir.Model) -> None:
    """Drop nodes that no output needs and notes of the exporter, and resolve clashes of names."""
    RemoveUnusedNodesPass()(model)
    RemoveUnusedOpsetsPass()(model)
    # Exporters note source lines and paths of the machine they ran on.
    ClearMetadataAndDocStringPass()(model)
    NameFixPass()(model)
