"""`queen fit`, step by step: a model and its training set become a bundle."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from queen import __version__
from queen.bundle import (
    DecoySpec,
    GeometryParameters,
    Manifest,
    MeterSpec,
    ShadowSpec,
    TensorSignature,
    layout,
    write_bundle,
)
from queen.errors import ConfigError, FitError
from queen.fit.advice import find_warnings
from queen.fit.collect import Responses, collect_responses, require_embeddings
from queen.fit.coverage import inside_regions, measure_coverage
from queen.fit.embedding_map import draw_embedding_map
from queen.fit.fuse import fuse_mapping
from queen.fit.mapping_training import MappingPlan, embed, mapping_weights, train_mapping
from queen.fit.measures import held_out_rows, measure_mapping, measure_protectee, measure_shadows
from queen.fit.onnx_file import read_graph
from queen.fit.options import MAP_FILE, REPORT_FILE, FitOptions, FitOutcome, FitReport
from queen.fit.profile_prices import PriceStage, ProfilePrice, price_profiles
from queen.fit.progress import FitProgress, Update
from queen.fit.shadow_training import (
    FEWEST_STEPS,
    SHADOW_BATCH,
    ShadowPlan,
    choose_architecture,
    shadow_tensors,
    train_shadows,
)
from queen.fit.strays import FittedMeter, fit_off_distribution, honest_volume
from queen.fit.surgery import Protectee, open_protectee
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
from queen.method.sensitivity import (
    budget_thresholds,
    largest_budget,
    mean_squared_sensitivity,
    packing_limit,
)


@dataclass(frozen=True, eq=False)
class _Task:
    """What is to be defended: the opened protectee, its training set, its classes."""

    options: FitOptions
    protectee: Protectee
    samples: TrainingSet
    class_names: list[str]


@dataclass(frozen=True, eq=False)
class _Regions:
    """The fitted embedding: z of every sample, the geometry, and what was measured."""

    embeddings: NDArray[np.float32]
    geometry: Geometry
    mean_squared_sqs: FloatArray
    graph: bytes
    figures: dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Strays:
    """The frame of the decoys and the off-distribution meter."""

    space: SketchSpace
    fitted: FittedMeter

    @property
    def meter_spec(self) -> MeterSpec:
        meter = self.fitted.meter
        return MeterSpec(
            rise=meter.rise,
            fall=meter.fall,
            limit=meter.limit,
            false_flags=self.fitted.false_flags,
        )

    @property
    def decoy_spec(self) -> DecoySpec:
        width, rank = self.space.axes.shape
        return DecoySpec(sketch_width=width, rank=rank, confidence=self.space.confidence)


@dataclass(frozen=True, eq=False)
class _Shadows:
    """The trained shadows, the shape of what they read, and what was measured."""

    networks: list[ShadowNetwork]
    input_shape: list[int]
    figures: dict[str, Any]


def fit_bundle(options: FitOptions, console: Console | None = None) -> FitOutcome:
    """Fit the defence to `options.model` and write the bundle `options.out`.

    Steps are shown on `console`, if there is one. The same options give the same
    bundle, digest included, on the same machine. Raises FitError for whatever is wrong
    with model or data and BundleError for `out`; nothing is written then.
    """
    _require_room(options)
    progress = FitProgress(console)
    with progress.shown():
        with progress.step("open the protectee"):
            task = _open(options)
        with progress.step("run it over the training set") as update:
            responses = collect_responses(task.protectee, task.samples.x, update)
        with progress.step("train the mapping network") as update:
            regions = _fit_regions(task, responses, update)
        thresholds = _thresholds(regions, options.budget)
        with progress.step("fit the decoys and the off-distribution meter"):
            strays = _fit_strays(task, responses, regions)
        with progress.step("train the shadows") as update:
            shadows = _fit_shadows(task, responses, regions, update)
        with progress.step("measure"):
            report = _report(task, responses, regions, strays, shadows)
            drawing = _draw(task, regions)
            head = _linear_head(task.protectee, responses, task.samples.y)
        with progress.step("what each profile costs and buys") as update:
            volume = honest_volume(
                *(regions.geometry, regions.embeddings, responses.predicted),
                *(thresholds, options.seed),
            )
            prices = _prices(task, responses, regions, strays, shadows, volume, update)
    manifest = _write(task, responses, regions, strays, shadows, head, report)
    outcome = FitOutcome(
        options.out,
        manifest,
        report,
        options.budget,
        thresholds,
        volume,
        prices,
        progress.seconds,
        find_warnings(report, thresholds, options.budget),
    )
    _write_report(outcome, drawing)
    return outcome


def _require_room(options: FitOptions) -> None:
    """Refuse before the long steps what would be refused after them."""
    out = options.out
    if out.exists() and not options.replace:
        raise FitError(f"{out} exists: choose another --out, or replace it with --force")
    if out.exists() and not (out / layout.MANIFEST).is_file():
        raise FitError(f"{out} exists and is no bundle: it is not replaced")
    # sqs^2 is at least 1/4 inside a region, so a larger budget cannot fit whatever is learned.
    width, fraction = options.embedding_width, options.coverage_fraction
    try:
        ceiling = int(packing_limit(1.0, width) / (0.25 * fraction**width))
    except ConfigError as error:
        raise FitError(str(error)) from error
    if options.budget > ceiling:
        raise FitError(
            f"expected a budget under {ceiling} records of a class, got {options.budget}: the "
            f"sensitive region is full before (coverage fraction {fraction}); state a smaller "
            "--budget or a smaller --coverage-fraction"
        )


def _open(options: FitOptions) -> _Task:
    samples = read_training_set(options.data)
    protectee = open_protectee(read_graph(options.model), options.output, options.features)
    source = protectee.input
    samples = fit_to_input(samples, source.name, source.dtype, source.shape)
    names = read_class_names(options.class_names, len(protectee.weight))
    require_labels(samples.y, len(names), names)
    return _Task(options, protectee, samples, names)


def _fit_regions(task: _Task, responses: Responses, update: Update) -> _Regions:
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
    return _Regions(
        embeddings,
        geometry,
        mean_squared_sensitivity(geometry, embeddings, labels),
        require_embeddings(task.protectee, task.samples.x[:256], embeddings[:256]),
        measure_mapping(
            plan, geometry, embeddings, labels, responses.predicted, held, network.layer_widths
        ),
    )


def _thresholds(regions: _Regions, budget: int) -> list[float]:
    try:
        found = budget_thresholds(regions.geometry, regions.mean_squared_sqs, budget)
    except ConfigError as error:
        raise FitError(str(error)) from error
    return [float(threshold) for threshold in found]


def _fit_strays(task: _Task, responses: Responses, regions: _Regions) -> _Strays:
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
    return _Strays(space, fitted)


def _prices(
    task: _Task,
    responses: Responses,
    regions: _Regions,
    strays: _Strays,
    shadows: _Shadows,
    volume: int | None,
    update: Update,
) -> list[ProfilePrice]:
    stage = PriceStage(
        *(responses, task.samples.y, held_out_rows(task.samples.y, task.options.seed)),
        inside=inside_regions(regions.geometry, regions.embeddings, responses.predicted),
        inputs=task.samples.x,
        shadows=shadows.networks,
        shadows_on=task.options.shadows_on,
        space=strays.space,
        within_budget=volume,
        seed=task.options.seed,
    )
    return price_profiles(stage, update)


def _fit_shadows(task: _Task, responses: Responses, regions: _Regions, update: Update) -> _Shadows:
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
    task: _Task,
    responses: Responses,
    regions: _Regions,
    epochs: int,
    steps: int | None,
    update: Update,
) -> _Shadows:
    options = task.options
    plan = ShadowPlan(options.shadows_on, options.shadows, epochs, steps, options.seed)
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
    return _Shadows(networks, list(inputs.shape[1:]), figures)


def _report(
    task: _Task, responses: Responses, regions: _Regions, strays: _Strays, shadows: _Shadows
) -> FitReport:
    return FitReport(
        seed=task.options.seed,
        samples=len(task.samples.y),
        protectee=measure_protectee(task.protectee, responses, task.samples.y),
        mapping=regions.figures,
        shadows=shadows.figures,
        off_distribution={"false_flags": strays.fitted.false_flags},
        largest_budget=largest_budget(regions.geometry, regions.mean_squared_sqs),
        classes=measure_coverage(
            regions.geometry,
            regions.embeddings,
            task.samples.y,
            responses.predicted,
            task.class_names,
        ),
    )


def _draw(task: _Task, regions: _Regions) -> bytes:
    return draw_embedding_map(
        regions.geometry,
        regions.embeddings,
        task.samples.y,
        task.class_names,
        task.options.model_name,
    )


def _write(
    task: _Task,
    responses: Responses,
    regions: _Regions,
    strays: _Strays,
    shadows: _Shadows,
    head: LinearHead,
    report: FitReport,
) -> Manifest:
    geometry = regions.geometry
    source = task.protectee.input
    draft = Manifest(
        queen_version=__version__,
        model_name=task.options.model_name,
        class_names=task.class_names,
        feature_width=responses.features.shape[1],
        embedding_width=geometry.embedding_width,
        input=TensorSignature(
            name=source.name,
            datatype=source.datatype,
            shape=[-1, *task.samples.x.shape[1:]],
        ),
        geometry=GeometryParameters(
            alpha=geometry.alpha,
            beta=geometry.beta,
            coverage_fraction=geometry.coverage_fraction,
        ),
        shadows=ShadowSpec(
            on=task.options.shadows_on,
            architecture=choose_architecture(task.options.shadows_on, shadows.input_shape),
            input_shape=shadows.input_shape,
            count=len(shadows.networks),
            drawn=task.options.shadows_drawn,
        ),
        decoy=strays.decoy_spec,
        meter=strays.meter_spec,
        fit=report.as_dict(),
    )
    return write_bundle(
        task.options.out,
        draft,
        protectee=regions.graph,
        head=head,
        geometry=geometry,
        mean_squared_sqs=regions.mean_squared_sqs,
        sketch_space=strays.space,
        meter=strays.fitted.meter,
        shadows=[shadow_tensors(network) for network in shadows.networks],
        replace=task.options.replace,
    )


def _linear_head(
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


def _write_report(outcome: FitOutcome, drawing: bytes) -> None:
    """Put the drawing, and figures that depend on budget and clock, beside the bundle's files."""
    folder = outcome.path / layout.REPORT
    folder.mkdir(exist_ok=True)
    (folder / MAP_FILE).write_bytes(drawing)
    content = {
        **outcome.report.as_dict(),
        "digest": outcome.manifest.digest,
        "budget": outcome.budget,
        "thresholds": outcome.thresholds,
        "honest_volume": outcome.honest_volume,
        "prices": [asdict(price) for price in outcome.prices],
        "warnings": outcome.warnings,
        "seconds": outcome.seconds,
    }
    (folder / REPORT_FILE).write_text(json.dumps(content, indent=2) + "\n")
