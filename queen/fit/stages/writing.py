"""Stage: write the bundle, and beside it the report for people."""

from __future__ import annotations

import json
from dataclasses import asdict

from queen import __version__
from queen.bundle import (
    BundleDraft,
    DecoySpec,
    GeometryParameters,
    Manifest,
    MeterSpec,
    ShadowSpec,
    TensorSignature,
    layout,
    write_bundle,
)
from queen.errors import FitError
from queen.fit.fitted import Fitted
from queen.fit.options import FitOptions
from queen.fit.outcome import MAP_FILE, REPORT_FILE, FitOutcome, FitReport
from queen.fit.training.shadows import choose_architecture, shadow_tensors


def require_free_folder(options: FitOptions) -> None:
    """Raise FitError, before the long stages, for an `out` that the last stage would refuse."""
    out = options.out
    if out.exists() and not options.replace:
        raise FitError(f"{out} exists: choose another --out, or replace it with --force")
    if out.exists() and not layout.is_bundle(out):
        raise FitError(f"{out} exists and is no bundle: it is not replaced")


def write_fitted(fitted: Fitted, report: FitReport) -> Manifest:
    """Write the bundle; returns its manifest with digests."""
    regions = fitted.regions
    draft = BundleDraft(
        _manifest(fitted, report),
        protectee=regions.graph,
        head=fitted.head,
        geometry=regions.geometry,
        mean_squared_sqs=regions.mean_squared_sqs,
        sketch_space=fitted.sketch_space,
        meter=fitted.off_distribution.meter,
        shadows=[shadow_tensors(network) for network in fitted.shadows.networks],
    )
    return write_bundle(fitted.options.out, draft, replace=fitted.options.replace)


def _manifest(fitted: Fitted, report: FitReport) -> Manifest:
    options, source, off = fitted.options, fitted.protectee.input, fitted.off_distribution
    geometry = fitted.regions.geometry
    return Manifest(
        queen_version=__version__,
        model_name=options.model_name,
        class_names=fitted.class_names,
        feature_width=fitted.responses.features.shape[1],
        embedding_width=geometry.embedding_width,
        input=TensorSignature(
            name=source.name, datatype=source.datatype, shape=[-1, *fitted.samples.x.shape[1:]]
        ),
        input_range=fitted.input_range,
        geometry=GeometryParameters.of(geometry),
        shadows=_shadow_spec(fitted),
        decoy=DecoySpec.of(fitted.sketch_space),
        meter=MeterSpec.of(off.meter, off.false_flags),
        fit=report.as_dict(),
    )


def _shadow_spec(fitted: Fitted) -> ShadowSpec:
    options, shadows = fitted.options, fitted.shadows
    return ShadowSpec(
        on=options.shadows_on,
        architecture=choose_architecture(options.shadows_on, shadows.input_shape),
        input_shape=shadows.input_shape,
        count=len(shadows.networks),
        drawn=options.shadows_drawn,
    )


def write_report(outcome: FitOutcome, drawing: bytes) -> None:
    """Put the embedding map, and figures that depend on budget and clock, into `report/`."""
    folder = outcome.path / layout.REPORT
    folder.mkdir(exist_ok=True)
    (folder / MAP_FILE).write_bytes(drawing)
    content = {
        **outcome.report.as_dict(),
        "digest": outcome.manifest.digest,
        "budget": outcome.budget,
        "thresholds": outcome.thresholds,
        "honest_volumes": outcome.honest_volumes,
        "prices": [asdict(price) for price in outcome.prices],
        "warnings": outcome.warnings,
        "seconds": outcome.seconds,
    }
    (folder / REPORT_FILE).write_text(json.dumps(content, indent=2) + "\n")
