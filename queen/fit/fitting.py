"""`queen fit`, step by step: a model and its training set become a bundle."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.console import Console

from queen import __version__
from queen.bundle import (
    BundleDraft,
    GeometryParameters,
    Manifest,
    ShadowSpec,
    TensorSignature,
    layout,
    write_bundle,
)
from queen.errors import ConfigError, FitError
from queen.fit.collect import Responses, collect_responses
from queen.fit.findings.advice import find_warnings
from queen.fit.findings.coverage import inside_regions, measure_coverage
from queen.fit.findings.embedding_map import draw_embedding_map
from queen.fit.findings.measures import held_out_rows, measure_protectee
from queen.fit.findings.profile_prices import PriceStage, ProfilePrice, price_profiles
from queen.fit.findings.strays import honest_volume
from queen.fit.options import MAP_FILE, REPORT_FILE, FitOptions, FitOutcome, FitReport
from queen.fit.progress import FitProgress, Update
from queen.fit.stages import (
    Regions,
    Shadows,
    Strays,
    Task,
    fit_regions,
    fit_shadows,
    fit_strays,
    linear_head,
    open_task,
)
from queen.fit.training.shadows import choose_architecture, shadow_tensors
from queen.method.label_preserving import LinearHead
from queen.method.sensitivity import (
    budget_thresholds,
    largest_budget,
    packing_limit,
)


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
            task = open_task(options)
        with progress.step("run it over the training set") as update:
            responses = collect_responses(task.protectee, task.samples.x, update)
        with progress.step("train the mapping network") as update:
            regions = fit_regions(task, responses, update)
        thresholds = _thresholds(regions, options.budget)
        with progress.step("fit the decoys and the off-distribution meter"):
            strays = fit_strays(task, responses, regions)
        with progress.step("train the shadows") as update:
            shadows = fit_shadows(task, responses, regions, update)
        with progress.step("measure"):
            report = _report(task, responses, regions, strays, shadows)
            drawing = _draw(task, regions)
            head = linear_head(task.protectee, responses, task.samples.y)
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


def _thresholds(regions: Regions, budget: int) -> list[float]:
    try:
        found = budget_thresholds(regions.geometry, regions.mean_squared_sqs, budget)
    except ConfigError as error:
        raise FitError(str(error)) from error
    return [float(threshold) for threshold in found]


def _prices(
    task: Task,
    responses: Responses,
    regions: Regions,
    strays: Strays,
    shadows: Shadows,
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


def _report(
    task: Task, responses: Responses, regions: Regions, strays: Strays, shadows: Shadows
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


def _draw(task: Task, regions: Regions) -> bytes:
    return draw_embedding_map(
        regions.geometry,
        regions.embeddings,
        task.samples.y,
        task.class_names,
        task.options.model_name,
    )


def _write(
    task: Task,
    responses: Responses,
    regions: Regions,
    strays: Strays,
    shadows: Shadows,
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
    whole = BundleDraft(
        draft,
        protectee=regions.graph,
        head=head,
        geometry=geometry,
        mean_squared_sqs=regions.mean_squared_sqs,
        sketch_space=strays.space,
        meter=strays.fitted.meter,
        shadows=[shadow_tensors(network) for network in shadows.networks],
    )
    return write_bundle(task.options.out, whole, replace=task.options.replace)


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
