"""A fit of blobs as far as a test needs it, without a file on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import numpy_helper, parser

from queen.fit.findings.coverage import inside_regions
from queen.fit.fitted import Fitted, Regions
from queen.fit.graph.surgery import Protectee, open_protectee
from queen.fit.options import FitOptions
from queen.fit.stages.responses import collect_responses
from queen.fit.training.mapping import MappingPlan
from queen.fit.training_set import TrainingSet
from queen.method.geometry import class_means, fit_geometry
from queen.method.sensitivity import mean_squared_sensitivity

Inputs = NDArray[np.float32]
Labels = NDArray[np.int64]


def answered(inputs: Inputs, labels: Labels, **options: Any) -> Fitted:
    """A fit after the responses: the protectee answers the nearest class mean of `inputs` (N, W).

    Its features are the inputs themselves.
    """
    classes = int(labels.max()) + 1
    paths = (Path("model.onnx"), Path("train.npz"), Path("bundle"))
    fitted = Fitted(
        FitOptions(*paths, **options),
        _nearest_mean(inputs, labels, classes),
        TrainingSet(inputs, labels),
        [f"class {label}" for label in range(classes)],
    )
    fitted.responses = collect_responses(fitted.protectee, inputs)
    return fitted


def regions_of(embeddings: Inputs, labels: Labels, predicted: Labels) -> Regions:
    """Regions of `embeddings` (N, E) by true `labels` (N,), without a mapping network."""
    geometry = fit_geometry(embeddings, labels, int(labels.max()) + 1, coverage_fraction=0.1)
    return Regions(
        embeddings,
        geometry,
        mean_squared_sensitivity(geometry, embeddings, labels),
        inside_regions(geometry, embeddings, predicted),
        b"a graph",
        MappingPlan(epochs=3),
        [embeddings.shape[1]],
    )


def _nearest_mean(inputs: Inputs, labels: Labels, classes: int) -> Protectee:
    means = class_means(inputs.astype(np.float64), labels, classes)
    weight, bias = 2 * means.T, -np.square(means).sum(axis=1)
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]>\n'
        f"g (float[N,{inputs.shape[1]}] x) => (float[N,{classes}] y)"
        "{ f = Identity(x)\n l = Gemm(f, W, b)\n y = Softmax<axis = 1>(l) }"
    )
    for name, array in (("W", weight), ("b", bias)):
        model.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    return open_protectee(ir.from_proto(model))
