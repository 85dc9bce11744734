"""The figures of a fit report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from queen.fit.collect import Responses
from queen.fit.findings.coverage import inside_share
from queen.fit.findings.flips import flip_rates, shadow_probabilities
from queen.fit.graph.surgery import Protectee
from queen.fit.training.mapping import MappingPlan
from queen.fit.training.shadows import ShadowPlan, choose_architecture
from queen.method.ensemble import ShadowNetwork
from queen.method.geometry import Geometry
from queen.method.sensitivity import center_distances

_HELD_OUT_SHARE = 10
_FLIP_ROWS = 2000


def held_out_rows(labels: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """Marks (N,) of the samples that g does not train on: a tenth of every class.

    A class of fewer than 10 samples gives none; without any, nothing is held out.
    """
    rng = np.random.default_rng([seed, 1])
    held = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        held[members[: len(members) // _HELD_OUT_SHARE]] = True
    return held


def measure_protectee(
    protectee: Protectee, responses: Responses, labels: NDArray[np.int64]
) -> dict[str, Any]:
    """Accuracy on the training set, and what the surgery found."""
    return {
        "accuracy": _share(responses.predicted == labels),
        "features_tensor": protectee.features_tensor,
        "own_softmax": protectee.own_softmax,
        "freed_batch": protectee.fixed_batch,
    }


def measure_mapping(
    plan: MappingPlan,
    geometry: Geometry,
    embeddings: NDArray[np.float32],
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    held: NDArray[np.bool_],
    layer_widths: Sequence[int],
) -> dict[str, Any]:
    """Separability (nearest cluster center is the true class's) and share inside regions.

    Each for the samples that g trained on and for those held out; if none were, the
    figures of the former stand for both.
    """
    nearest = nearest_class(geometry, embeddings) == labels
    parts = {"training": ~held, "held_out": held if held.any() else ~held}
    classes = int(labels.max()) + 1
    return {
        "loss": plan.loss,
        "epochs": plan.planned_epochs(int((~held).sum()), classes),
        "batch": plan.batch_size(classes),
        "layer_widths": list(layer_widths),
        "held_out": int(held.sum()),
        "separability": {part: _share(nearest[rows]) for part, rows in parts.items()},
        "inside": {
            part: _rounded(inside_share(geometry, embeddings[rows], predicted[rows]))
            for part, rows in parts.items()
        },
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
    plan: ShadowPlan,
    drawn: int,
    shadows: Sequence[ShadowNetwork],
    inputs: NDArray[Any],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    inside: NDArray[np.bool_],
) -> dict[str, Any]:
    """Accuracy of the shadows and flip rate of the reversal by K, on samples inside regions.

    `inputs` (N, ...) is what the shadows read. Up to 2,000 samples are asked.
    """
    rng = np.random.default_rng([plan.seed, 2])
    candidates = np.flatnonzero(inside) if inside.any() else np.arange(len(labels))
    rows = np.sort(rng.permutation(candidates)[:_FLIP_ROWS])
    answers = shadow_probabilities(shadows, inputs[rows])
    accuracies = (answers.argmax(axis=2) == labels[rows]).mean(axis=1)
    rates = flip_rates(answers, probabilities[rows], [1, drawn, len(shadows)], rng)
    return {
        "on": plan.on,
        "architecture": choose_architecture(plan.on, inputs.shape[1:]),
        "count": len(shadows),
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
