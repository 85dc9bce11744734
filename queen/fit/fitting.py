"""`queen fit`, stage by stage: a classifier and its training set become a bundle."""

from __future__ import annotations

from rich.console import Console

from queen.defaults import CHARGE
from queen.fit.findings.advice import find_warnings
from queen.fit.findings.embedding_map import draw_embedding_map
from queen.fit.findings.honest_traffic import Seen, honest_volumes
from queen.fit.findings.profile_prices import price_profiles
from queen.fit.findings.report import make_report
from queen.fit.fitted import Fitted
from queen.fit.options import FitOptions
from queen.fit.outcome import FitOutcome
from queen.fit.progress import FitProgress
from queen.fit.stages.budget import fit_policy, require_reachable_budget
from queen.fit.stages.decoys import fit_decoys
from queen.fit.stages.head import fit_head
from queen.fit.stages.input_range import fit_input_range
from queen.fit.stages.off_distribution import fit_off_distribution
from queen.fit.stages.opening import open_inputs
from queen.fit.stages.regions import fit_regions
from queen.fit.stages.responses import collect_responses
from queen.fit.stages.shadows import fit_shadows
from queen.fit.stages.writing import require_free_folder, write_fitted, write_report
from queen.method.crossing import PolicyThresholds
from queen.method.honest.traffic import Kind


def fit_bundle(options: FitOptions, console: Console | None = None) -> FitOutcome:
    """Fit the defense to `options.model` and write the bundle `options.out`.

    Progress is shown on `console`, if there is one. The same options give the same bundle,
    digest included, on the same machine. Raises FitError for anything wrong with model or data and
    BundleError for `out`; nothing is written then.
    """
    require_free_folder(options)
    require_reachable_budget(options)
    progress = FitProgress(console)
    with progress.shown():
        with progress.step("open the protectee"):
            fitted = open_inputs(options)
            fitted.input_range = fit_input_range(fitted)
        with progress.step("run it over the training set") as update:
            fitted.responses = collect_responses(fitted.protectee, fitted.samples.x, update)
            fitted.head = fit_head(fitted)
        with progress.step("train the mapping network") as update:
            fitted.regions = fit_regions(fitted, update)
            policy = fit_policy(fitted)
        with progress.step("fit the decoys and the off-distribution meter"):
            fitted.sketch_space = fit_decoys(fitted)
            fitted.off_distribution = fit_off_distribution(fitted)
        with progress.step("train the shadows") as update:
            fitted.shadows = fit_shadows(fitted, update)
        with progress.step("measure"):
            report = make_report(fitted)
            drawing = _draw(fitted)
        with progress.step("price the profiles") as update:
            volumes = _honest_volumes(fitted, policy)
            prices = price_profiles(fitted, volumes[Kind.EVEN], update)
    thresholds = [float(threshold) for threshold in policy.thresholds]
    outcome = FitOutcome(
        options.out,
        write_fitted(fitted, report),
        report,
        options.budget,
        thresholds,
        {kind.value: volume for kind, volume in volumes.items()},
        prices,
        progress.seconds,
        find_warnings(report, thresholds, options.budget),
    )
    write_report(outcome, drawing)
    return outcome


def _draw(fitted: Fitted) -> bytes:
    regions, names = fitted.regions, fitted.class_names
    return draw_embedding_map(
        regions.geometry, regions.embeddings, fitted.samples.y, names, fitted.options.model_name
    )


def _honest_volumes(fitted: Fitted, policy: PolicyThresholds) -> dict[Kind, int | None]:
    regions = fitted.regions
    seen = Seen(regions.embeddings, fitted.responses.predicted, fitted.samples.y)
    return honest_volumes(regions.geometry, seen, policy, fitted.options.seed, CHARGE)
