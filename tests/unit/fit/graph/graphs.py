"""Small ONNX graphs, written as text, with weights from NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper, parser

from queen.fit.graph.onnx_file import read_graph
from queen.fit.graph.session import GraphSession
from queen.fit.graph.surgery import AUTO, Protectee, open_protectee

Array = NDArray[Any]

RNG = np.random.default_rng(7)
HIDDEN = RNG.normal(size=(4, 6)).astype(np.float32)
WEIGHT = RNG.normal(size=(6, 3)).astype(np.float32)
BIAS = RNG.normal(size=3).astype(np.float32)
SAMPLES = RNG.normal(size=(16, 4)).astype(np.float32)

FEATURES = "h = MatMul(x, H)\n f = Relu(h)\n"
WEIGHTS = {"H": HIDDEN, "W": WEIGHT, "b": BIAS}


def features_of(samples: Array) -> Array:
    """The output of `FEATURES`, (B, 4) -> (B, 6)."""
    return np.maximum(samples @ HIDDEN, 0)


def logits_of(samples: Array) -> Array:
    """The logits of the plain head, (B, 4) -> (B, 3)."""
    return features_of(samples) @ WEIGHT + BIAS


def softmax_of(logits: Array) -> Array:
    """Softmax over the classes, (B, C) -> (B, C)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def write_model(
    path: Path,
    body: str,
    weights: dict[str, Array] | None = None,
    *,
    source: str = "float[N,4] x",
    result: str = "float[N,3] y",
    opset: int = 17,
) -> Path:
    """Write the graph `source => result { body }` to `path`; returns it."""
    lines = "\n".join(f" {line.strip()}" for line in body.strip().splitlines())
    head = f'<ir_version: 8, opset_import: ["" : {opset}, "ai.onnx.ml" : 1]>'
    model = parser.parse_model(f"{head}\ng ({source}) => ({result}) {{\n{lines}\n}}")
    for name, array in (WEIGHTS if weights is None else weights).items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    onnx.save(model, path)
    return path


def opened(path: Path, output: str | None = None, features: str = AUTO) -> Protectee:
    """The protectee in the file."""
    return open_protectee(read_graph(path), output, features)


def answers(protectee: Protectee, samples: Array) -> tuple[Array, Array, Array]:
    """Probabilities, logits and features of `samples`, from one run."""
    session = GraphSession(protectee.graph_bytes())
    names = ["probabilities", "logits", "features"]
    probabilities, logits, features = session.run({protectee.input.name: samples}, names)
    return probabilities, logits, features
