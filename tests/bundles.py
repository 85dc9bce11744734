"""Small, valid bundles made in milliseconds, for the tests of every service."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from queen import __version__
from queen.bundle import (
    BundleDraft,
    DecoySpec,
    GeometryParameters,
    InputRange,
    Manifest,
    MeterSpec,
    ShadowSpec,
    TensorSignature,
    layout,
    write_bundle,
)
from queen.method.answers.decoy import SketchSpace, fit_sketch_space, sketch_inputs
from queen.method.answers.label_preserving import LinearHead
from queen.method.geometry import Geometry, fit_feature_centers, fit_geometry
from queen.method.meter.meter_fit import tail_distances
from queen.method.meter.off_distribution import OffDistributionMeter
from queen.method.sensitivity import center_distances, mean_squared_sensitivity

Array = NDArray[np.float32]

CLASSES, INPUT_WIDTH = 4, 8
"""C of the small protectee, and the numbers of one input."""

METER = MeterSpec(rise=1.6, fall=0.13, limit=12.0, false_flags={"1000": 0.0})
"""The scalars of the small bundle's off-distribution meter."""


@dataclass(frozen=True)
class SmallModel:
    """The weights of the small protectee: x -> relu(x U) = f, f W^T + b, f G = z."""

    hidden: Array
    head: LinearHead
    mapping: Array

    def features(self, inputs: Array) -> Array:
        """Features (B, D) of inputs (B, I)."""
        return np.maximum(inputs @ self.hidden, 0)

    def logits(self, inputs: Array) -> Array:
        """Logits (B, C) of inputs (B, I)."""
        return self.features(inputs) @ self.head.weight.T + self.head.bias

    def embeddings(self, inputs: Array) -> Array:
        """Embeddings (B, E) of inputs (B, I)."""
        return self.features(inputs) @ self.mapping


@dataclass(frozen=True)
class SmallBundle:
    """A written bundle with the model and the training inputs (N, I) it was made from."""

    path: Path
    manifest: Manifest
    model: SmallModel
    inputs: Array
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Widths:
    """D and E of the small protectee."""

    features: int = 16
    embeddings: int = 2


@dataclass(frozen=True)
class SmallShadows:
    """The small bundle's shadow models, one linear layer each."""

    on: str = "features"
    count: int = 3
    drawn: int = 2


def make_bundle(
    out: Path,
    *,
    seed: int = 0,
    samples: int = 400,
    coverage_fraction: float = 0.02,
    widths: Widths = Widths(),
    shadows: SmallShadows = SmallShadows(),
) -> SmallBundle:
    """Write a bundle at `out`: random clusters, one hidden layer, a few linear shadows."""
    rng = np.random.default_rng(seed)
    inputs, clusters = _clusters(rng, samples)
    model = _model(rng, inputs, clusters, widths)
    embeddings = model.embeddings(inputs)
    # True classes are the clusters; the head is fitted to them, so all classes occur.
    geometry = fit_geometry(embeddings, clusters, CLASSES, coverage_fraction=coverage_fraction)
    space = fit_sketch_space(sketch_inputs(inputs), clusters, CLASSES, 0.9)
    tails = tail_distances(geometry, center_distances(geometry, embeddings, clusters), clusters)
    shadow_width = widths.features if shadows.on == "features" else INPUT_WIDTH
    draft = BundleDraft(
        _manifest(geometry, space, widths, shadows),
        protectee=protectee_graph(model),
        head=model.head,
        geometry=geometry,
        mean_squared_sqs=mean_squared_sensitivity(geometry, embeddings, clusters),
        sketch_space=space,
        meter=OffDistributionMeter(tails, METER.rise, METER.fall, METER.limit),
        shadows=[_shadow(rng, shadow_width) for _ in range(shadows.count)],
    )
    labels = model.logits(inputs).argmax(axis=1)
    return SmallBundle(out, write_bundle(out, draft), model, inputs, labels)


def with_input_range(small: SmallBundle, bounds: InputRange) -> SmallBundle:
    """The bundle, whose manifest now states the range of its inputs."""
    changed = small.manifest.model_copy(update={"input_range": bounds, "digest": ""})
    changed = changed.model_copy(update={"digest": changed.compute_digest()})
    (small.path / layout.MANIFEST).write_text(changed.to_json())
    return replace(small, manifest=changed)


def _manifest(
    geometry: Geometry, space: SketchSpace, widths: Widths, shadows: SmallShadows
) -> Manifest:
    shadow_width = widths.features if shadows.on == "features" else INPUT_WIDTH
    return Manifest(
        queen_version=__version__,
        model_name="small",
        class_names=[f"class-{label}" for label in range(CLASSES)],
        feature_width=widths.features,
        embedding_width=widths.embeddings,
        input=TensorSignature(name="x", datatype="FP32", shape=[-1, INPUT_WIDTH]),
        geometry=GeometryParameters.of(geometry),
        shadows=ShadowSpec(
            on=shadows.on,
            architecture="head",
            input_shape=[shadow_width],
            count=shadows.count,
            drawn=shadows.drawn,
        ),
        decoy=DecoySpec.of(space),
        meter=METER,
    )


def protectee_graph(model: SmallModel) -> bytes:
    """The ONNX graph of the small protectee, with a dynamic batch axis and four outputs."""
    weights = {
        "U": model.hidden,
        "Wt": np.ascontiguousarray(model.head.weight.T),
        "b": model.head.bias,
        "G": model.mapping,
    }
    nodes = [
        helper.make_node("MatMul", ["x", "U"], ["h"]),
        helper.make_node("Relu", ["h"], ["features"]),
        helper.make_node("Gemm", ["features", "Wt", "b"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("MatMul", ["features", "G"], ["embeddings"]),
    ]
    (input_width, feature_width), classes = model.hidden.shape, len(model.head.bias)
    graph = helper.make_graph(
        nodes,
        "small",
        [_value("x", input_width)],
        [
            _value("probabilities", classes),
            _value("logits", classes),
            _value("features", feature_width),
            _value("embeddings", model.mapping.shape[1]),
        ],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def _value(name: str, width: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])


def _clusters(rng: np.random.Generator, samples: int) -> tuple[Array, NDArray[np.int64]]:
    centers = 3.0 * rng.normal(size=(CLASSES, INPUT_WIDTH))
    clusters = np.arange(samples) % CLASSES
    inputs = centers[clusters] + rng.normal(size=(samples, INPUT_WIDTH))
    return inputs.astype(np.float32), clusters


def _model(
    rng: np.random.Generator, inputs: Array, clusters: NDArray[np.int64], widths: Widths
) -> SmallModel:
    hidden = rng.normal(size=(INPUT_WIDTH, widths.features)) / np.sqrt(INPUT_WIDTH)
    hidden = hidden.astype(np.float32)
    features = np.maximum(inputs @ hidden, 0)
    centers = fit_feature_centers(features, clusters, CLASSES)
    # Nearest feature center, as a linear head: 2 f.F_c - |F_c|^2, scaled to soft answers.
    weight = (0.2 * 2 * centers).astype(np.float32)
    bias = (-0.2 * np.square(centers).sum(axis=1)).astype(np.float32)
    spread = float(np.linalg.norm(features - centers[clusters], axis=1).mean())
    mapping = rng.normal(size=(widths.features, widths.embeddings)).astype(np.float32)
    return SmallModel(hidden, LinearHead(weight, bias, centers, spread), mapping)


def _shadow(rng: np.random.Generator, width: int) -> dict[str, Array]:
    """State of `queen.method.answers.ensemble.build_shadow("head", ...)`."""
    return {
        "body.1.weight": rng.normal(size=(CLASSES, width)).astype(np.float32),
        "body.1.bias": np.zeros(CLASSES, np.float32),
        "input_mean": np.zeros((), np.float32),
        "input_scale": np.ones((), np.float32),
    }
