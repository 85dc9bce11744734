"""Find the logits of a classifier and the linear layer that makes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from queen.errors import FitError
from queen.fit.graph.session import Array, constant_array

# Operators between the answer and the last layer that do not reorder the numbers.
_TRANSPARENT = {"Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}
_AFFINE = {"Add", "Sub", "Mul", "Div"}


@dataclass(frozen=True, eq=False)
class Logits:
    """The tensor `value` of the logits, and the graph's own softmax of them, if it has one."""

    value: ir.Value
    probabilities: ir.Value | None


@dataclass(frozen=True, eq=False)
class Head:
    """The last linear layer, logits = W f + b.

    `weight` W (C, D), `bias` b (C,), float64; `features` the tensor f, which is (D, B)
    if `transposed` and (B, D) otherwise.
    """

    features: ir.Value
    transposed: bool
    weight: Array
    bias: Array


def find_logits(output: ir.Value) -> Logits:
    """Walk back from `output` to the logits: (B, C) before a softmax, if there is one."""
    value = behind_transparent(output)
    node = value.producer()
    if node is None or node.op_type not in ("Softmax", "LogSoftmax"):
        return Logits(output, None)
    logits = node.inputs[0]
    if logits is None:
        raise FitError(f"{_title(node)} has no input")
    return Logits(logits, value if node.op_type == "Softmax" else None)


def find_head(graph: ir.Graph, logits: ir.Value) -> Head:
    """Walk back from `logits` to the last Gemm or MatMul and read its W and b.

    Constants added to or multiplied with its result on the way are folded in.
    Raises FitError, which names the node reached, if that is anything else.
    """
    value = behind_transparent(logits)
    node = value.producer()
    if node is None:
        raise FitError(
            f"no Gemm or MatMul found: the graph's input {value.name!r} is reached first"
        )
    if node.op_type == "MatMul":
        return _read_matmul(graph, node)
    if node.op_type == "Gemm":
        return _read_gemm(graph, node)
    if node.op_type in _AFFINE:
        return _fold_affine(graph, node)
    if _is_logistic(node):
        raise FitError(
            "expected a softmax over at least 2 classes, reached a Sigmoid: a classifier with one "
            "logistic column is not supported; train it with one output per class"
        )
    raise FitError(
        f"head is not linear: expected Gemm or MatMul before the logits, reached {_title(node)}; "
        "--output names the tensor that holds the logits, --features one that the logits are "
        "linear in"
    )


def behind_transparent(value: ir.Value) -> ir.Value:
    """The tensor that `value` repeats, before Cast, Identity, Reshape and their like."""
    while True:
        node = value.producer()
        if node is None or node.op_type not in _TRANSPARENT or node.inputs[0] is None:
            return value
        value = node.inputs[0]


def _fold_affine(graph: ir.Graph, node: ir.Node) -> Head:
    """The head before `node`, which adds or multiplies a constant of shape () or (C,)."""
    variable, constant, swapped = _operands(graph, node)
    head = find_head(graph, variable)
    constant = _as_row(node, constant, len(head.bias))
    weight, bias = head.weight, head.bias
    match node.op_type:
        case "Add":
            bias = bias + constant
        case "Sub":
            weight = -weight if swapped else weight
            bias = constant - bias if swapped else bias - constant
        case "Mul":
            weight, bias = weight * constant[:, None], bias * constant
        case "Div":
            if swapped:
                raise FitError(f"head is not linear: {_title(node)} divides by its result")
            weight, bias = weight / constant[:, None], bias / constant
    return Head(head.features, head.transposed, weight, bias)


def _operands(graph: ir.Graph, node: ir.Node) -> tuple[ir.Value, Array, bool]:
    """The operand that depends on the input, the constant, and whether the constant comes first."""
    first, second = node.inputs[0], node.inputs[1]
    if first is None or second is None:
        raise FitError(f"{_title(node)} lacks an input")
    constant = constant_array(graph, second)
    if constant is not None:
        return first, constant, False
    constant = constant_array(graph, first)
    if constant is not None:
        return second, constant, True
    raise FitError(
        f"head is not linear: both inputs of {_title(node)} depend on the query; "
        "expected a Gemm or MatMul, and a constant at most, before the logits"
    )


def _read_matmul(graph: ir.Graph, node: ir.Node) -> Head:
    features, weight, swapped = _operands(graph, node)
    if swapped or weight.ndim != 2:
        raise FitError(
            f"{_title(node)}: expected features times a weight (D, C), got a weight of shape "
            f"{weight.shape}" + (" times features" if swapped else "")
        )
    weight = np.asarray(weight, np.float64)
    return Head(features, False, weight.T, np.zeros(weight.shape[1]))


def _read_gemm(graph: ir.Graph, node: ir.Node) -> Head:
    """alpha A' B' + beta C, where ' is a transposition if transA or transB says so."""
    features, weight, swapped = _operands(graph, node)
    if swapped:
        raise FitError(f"{_title(node)}: expected features times a weight, got the reverse")
    weight = np.asarray(weight, np.float64)
    weight = weight if _attribute(node, "transB", 0) else weight.T
    bias = np.zeros(len(weight))
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        added = constant_array(graph, node.inputs[2])
        if added is None:
            raise FitError(f"head is not linear: the bias of {_title(node)} depends on the query")
        bias = _as_row(node, added, len(weight))
    return Head(
        features,
        bool(_attribute(node, "transA", 0)),
        weight * _attribute(node, "alpha", 1.0),
        bias * _attribute(node, "beta", 1.0),
    )


def _is_logistic(node: ir.Node) -> bool:
    producers = [value.producer() for value in node.inputs if value is not None]
    return any(near is not None and near.op_type == "Sigmoid" for near in (node, *producers))


def _attribute(node: ir.Node, name: str, default: float) -> float:
    attribute = node.attributes.get(name)
    return default if attribute is None else float(attribute.value)


def _as_row(node: ir.Node, constant: Array, width: int) -> Array:
    """A constant of shape (), (C,) or (1, C) as (C,)."""
    wide = np.asarray(constant, np.float64)
    if wide.size not in (1, width):
        raise FitError(
            f"{_title(node)}: expected a constant of 1 or {width} numbers, got shape {wide.shape}"
        )
    return np.broadcast_to(wide.reshape(-1), (width,)).copy()


def _title(node: ir.Node) -> str:
    return f"{node.op_type} (node {node.name!r})" if node.name else node.op_type
