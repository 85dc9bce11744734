"""The steps of a fit: open, regions, strays, shadows, head; each from what came before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queen.bundle import DecoySpec, MeterSpec
from queen.errors import FitError
from queen.fit.collect import Responses, require_embeddings
from queen.fit.findings.coverage import inside_regions
from queen.fit.findings.measures import held_out_rows, measure_mapping, measure_shadows
from queen.fit.findings.strays import FittedMeter, fit_off_distribution
from queen.fit.graph.fuse import fuse_mapping
from queen.fit.graph.onnx_file import read_graph
from queen.fit.graph.surgery import Protectee, open_protectee
from queen.fit.options import FitOptions
from queen.fit.progress import Update
from queen.fit.training.mapping import MappingPlan, embed, mapping_weights, train_mapping
from queen.fit.training.shadows import FEWEST_STEPS, SHADOW_BATCH, ShadowPlan, train_shadows
from queen.fit.training_set import (
    TrainingSet,
    fit_to_input,
    read_class_names,
    read_training_set,
    require_labels,
)
from queen.method.decoy import SketchSpace, fit_sketch_space, sketch_inputs
from queen.method.ensemble import ShadowNetwork
from queen.method.geometry import FloatArray, Geometry, fit_feature_centers, fit_geometry
from queen.method.label_preserving import LinearHead
from queen.method.sensitivity import mean_squared_sensitivity


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be defended: the opened protectee, its training set, its classes."""

    options: FitOptions
    protectee: Protectee
    samples: TrainingSet
    class_names: list[str]


@dataclass(frozen=True, eq=False)
class Regions:
    """The fitted embedding: z of every sample, the geometry, and what was measured."""

    embeddings: NDArray[np.float32]
    geometry: Geometry
    mean_squared_sqs: FloatArray
    graph: bytes
    figures: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Strays:
    """The frame of the decoys and the off-distribution meter."""

    space: SketchSpace
    fitted: FittedMeter

    @property
    def meter_spec(self) -> MeterSpec:
        """What the manifest says of the meter."""
        meter = self.fitted.meter
        return MeterSpec(
            rise=meter.rise,
            fall=meter.fall,
            limit=meter.limit,
            false_flags=self.fitted.false_flags,
        )

    @property
    def decoy_spec(self) -> DecoySpec:
        """What the manifest says of the decoys."""
        width, rank = self.space.axes.shape
        return DecoySpec(sketch_width=width, rank=rank, confidence=self.space.confidence)


@dataclass(frozen=True, eq=False)
class Shadows:
    """The trained shadows, the shape of what they read, and what was measured."""

    networks: list[ShadowNetwork]
    input_shape: list[int]
    figures: dict[str, Any]


def open_task(options: FitOptions) -> Task:
    """Read model and training set and hold them against each other; FitError for a misfit."""
    samples = read_training_set(options.data)
    protectee = open_protectee(read_graph(options.model), options.output, options.features)
    source = protectee.input
    samples = fit_to_input(samples, source.name, source.dtype, source.shape)
    names = read_class_names(options.class_names, len(protectee.weight))
    require_labels(samples.y, len(names), names)
    return Task(options, protectee, samples, names)


def fit_regions(task: Task, responses: Responses, update: Update) -> Regions:
    """Train g on all but the held-out samples, fit the geometry and fuse g into the graph."""
    options, labels = task.options, task.samples.y
    held = held_out_rows(labels, options.seed)
    plan = MappingPlan(
        options.embedding_width, options.mapping_loss, options.mapping_epochs, options.seed
    )
    network = train_mapping(responses.features[~held], labels[~held], plan, update)
    embeddings = embed(network, responses.features)
    geometry = fit_geometry(
        embeddings,
        labels,
        len(task.class_names),
        coverage_fraction=options.coverage_fraction,
        class_names=task.class_names,
    )
    fuse_mapping(task.protectee, mapping_weights(network))
    return Regions(
        embeddings,
        geometry,
        mean_squared_sensitivity(geometry, embeddings, labels),
        require_embeddings(task.protectee, task.samples.x[:256], embeddings[:256]),
        measure_mapping(
            plan, geometry, embeddings, labels, responses.predicted, held, network.layer_widths
        ),
    )


def fit_strays(task: Task, responses: Responses, regions: Regions) -> Strays:
    """What decoys are made of, and the meter, fitted to held-out samples if there are enough."""
    labels, options = task.samples.y, task.options
    held = held_out_rows(labels, options.seed)
    rows = held if held.any() else ~held
    confidence = float(responses.probabilities[rows].max(axis=1).mean(dtype=np.float64))
    starts = range(0, len(labels), 512)
    sketches = np.concatenate([sketch_inputs(task.samples.x[at : at + 512]) for at in starts])
    space = fit_sketch_space(sketches, labels, len(task.class_names), min(confidence, 0.999))
    fitted = fit_off_distribution(
        regions.geometry,
        regions.embeddings,
        responses.predicted,
        held,
        false_flags=options.false_flags,
        seed=options.seed,
    )
    return Strays(space, fitted)


def fit_shadows(task: Task, responses: Responses, regions: Regions, update: Update) -> Shadows:
    """Shadows of the stated strength, or of the greatest that still flips labels enough."""
    options = task.options
    if options.shadow_steps or options.shadow_epochs:
        epochs = options.shadow_epochs or 1
        return _shadows_of(task, responses, regions, epochs, options.shadow_steps, update)
    steps = math.ceil(len(task.samples.y) / SHADOW_BATCH)
    while True:
        shadows = _shadows_of(task, responses, regions, 1, steps, update)
        if shadows.figures["flip_rate"] >= options.shadow_flip_rate or steps <= FEWEST_STEPS:
            return shadows
        steps = max(steps // 2, FEWEST_STEPS)


def _shadows_of(
    task: Task,
    responses: Responses,
    regions: Regions,
    epochs: int,
    steps: int | None,
    update: Update,
) -> Shadows:
    options = task.options
    plan = ShadowPlan(
        options.shadows_on, options.shadows, epochs, steps, options.seed, options.shadow_rate
    )
    inputs = task.samples.x if plan.on == "inputs" else responses.features
    networks = train_shadows(inputs, task.samples.y, len(task.class_names), plan, update)
    figures = measure_shadows(
        plan,
        options.shadows_drawn,
        networks,
        inputs,
        task.samples.y,
        responses.probabilities,
        inside_regions(regions.geometry, regions.embeddings, responses.predicted),
    )
    return Shadows(networks, list(inputs.shape[1:]), figures)


def linear_head(
    protectee: Protectee, responses: Responses, labels: NDArray[np.int64]
) -> LinearHead:
    """The head with feature centers and spread, the mean distance of a sample to its own."""
    features = responses.features
    centers = fit_feature_centers(features, labels, len(protectee.weight))
    spread = float(np.linalg.norm(features - centers[labels], axis=1).mean())
    if not spread > 0:
        raise FitError("all samples of a class have the same features: there is nothing to fit")
    weight, bias = protectee.weight.astype(np.float32), protectee.bias.astype(np.float32)
    return LinearHead(weight, bias, centers, spread)
