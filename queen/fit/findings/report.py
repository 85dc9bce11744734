"""The report of a fit: measures of the protectee, the embedding and the shadow models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queen.fit.findings.coverage import measure_coverage
from queen.fit.findings.flips import flip_rates, shadow_probabilities
from queen.fit.fitted import Fitted
from queen.fit.outcome import FitReport
from queen.fit.training.shadows import ShadowPlan, choose_architecture
from queen.method.answers.ensemble import ShadowNetwork
from queen.method.geometry import Geometry
from queen.method.sensitivity import center_distances, largest_budget

_FLIP_ROWS = 2000


def make_report(fitted: Fitted) -> FitReport:
    """Measure everything that the manifest says of a fit."""
    regions, options = fitted.regions, fitted.options
    return FitReport(
        seed=options.seed,
        samples=len(fitted.samples.y),
        protectee=measure_protectee(fitted),
        mapping=measure_mapping(fitted),
        shadows=fitted.shadows.figures,
        off_distribution={"false_flags": fitted.off_distribution.false_flags},
        largest_budget=largest_budget(regions.geometry, regions.mean_squared_sqs),
        classes=measure_coverage(
            regions.geometry,
            regions.embeddings,
            fitted.samples.y,
            fitted.responses.predicted,
            fitted.class_names,
        ),
    )


def measure_protectee(fitted: Fitted) -> dict[str, Any]:
    """Accuracy on the training set, and facts from opening the graph."""
    protectee = fitted.protectee
    return {
        "accuracy": _share(fitted.responses.predicted == fitted.samples.y),
        "features_tensor": protectee.features_tensor,
        "own_softmax": protectee.own_softmax,
        "freed_batch": protectee.fixed_batch,
    }


def measure_mapping(fitted: Fitted) -> dict[str, Any]:
    """Separability (nearest cluster center is the true class's) and share inside regions.

    Both for the samples that g trained on and for those held out; without any held out, the
    training figures are given for both.
    """
    regions, held, labels = fitted.regions, fitted.held_out, fitted.samples.y
    is_nearest = nearest_class(regions.geometry, regions.embeddings) == labels
    parts = {"training": ~held, "held_out": held if held.any() else ~held}
    plan, classes = regions.plan, int(labels.max()) + 1
    return {
        "loss": plan.loss,
        "epochs": plan.planned_epochs(int((~held).sum()), classes),
        "batch": plan.batch_size(classes),
        "layer_widths": list(regions.layer_widths),
        "held_out": int(held.sum()),
        "separability": {part: _share(is_nearest[rows]) for part, rows in parts.items()},
        "inside": {part: _share(regions.inside[rows]) for part, rows in parts.items()},
    }


def nearest_class(geometry: Geometry, embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
    """The class whose cluster center is nearest, `embeddings` (N, E) -> (N,)."""
    best = np.zeros(len(embeddings), np.int64)
    shortest = np.full(len(embeddings), np.inf)
    for label in range(geometry.num_classes):
        distance = center_distances(geometry, embeddings, np.full(len(embeddings), label))
        closer = distance < shortest
        best[closer], shortest[closer] = label, distance[closer]
    return best


def measure_shadows(
    fitted: Fitted, plan: ShadowPlan, networks: Sequence[ShadowNetwork]
) -> dict[str, Any]:
    """Accuracy of trained shadows, and flip rate of the reversal by K, on samples inside regions.

    The samples are at most 2,000.
    """
    inside, inputs, labels = fitted.regions.inside, fitted.shadow_inputs, fitted.samples.y
    drawn = fitted.options.shadows_drawn
    rng = np.random.default_rng([plan.seed, 2])
    candidates = np.flatnonzero(inside) if inside.any() else np.arange(len(labels))
    rows = np.sort(rng.permutation(candidates)[:_FLIP_ROWS])
    answers = shadow_probabilities(networks, inputs[rows])
    accuracies = (answers.argmax(axis=2) == labels[rows]).mean(axis=1)
    own = fitted.responses.probabilities[rows]
    rates = flip_rates(answers, own, [1, drawn, len(networks)], rng)
    return {
        "on": plan.on,
        "architecture": choose_architecture(plan.on, inputs.shape[1:]),
        "count": len(networks),
        "drawn": drawn,
        "steps": plan.planned_steps(len(labels)),
        "samples_asked": len(rows),
        "accuracy": _rounded(accuracies.mean()),
        "accuracy_range": [_rounded(accuracies.min()), _rounded(accuracies.max())],
        "flip_rate": _rounded(rates[drawn]),
        "flip_rate_by_drawn": {str(count): _rounded(rate) for count, rate in rates.items()},
    }


def _share(hits: NDArray[np.bool_]) -> float:
    return _rounded(hits.mean())


def _rounded(figure: float | np.floating[Any]) -> float:
    return round(float(figure), 6)
