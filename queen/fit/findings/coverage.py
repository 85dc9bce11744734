"""The records that the training set itself would leave in a ledger, class by class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import Geometry
from queen.method.packing import novel_rows
from queen.method.sensitivity import center_distances, cumulative_query_sensitivity


@dataclass(frozen=True)
class ClassCoverage:
    """Coverage of a class, if one account sent the whole training set.

    `samples` with this true label; `predicted` answered with it, of which the share
    `inside` lies in the sensitive region; `records` kept, pairwise more than r apart;
    `cqs` their sum; `mean_radius` rho.
    """

    name: str
    samples: int
    predicted: int
    inside: float
    records: int
    cqs: float
    mean_radius: float


def inside_regions(
    geometry: Geometry, embeddings: NDArray[np.float32], predicted: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether each of `embeddings` (N, E) lies in the region of its predicted class (N,), (N,)."""
    distances = center_distances(geometry, embeddings, predicted)
    inside: NDArray[np.bool_] = distances < geometry.sensitive_radius[predicted]
    return inside


def measure_coverage(
    geometry: Geometry,
    embeddings: NDArray[np.float32],
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    class_names: list[str],
) -> list[ClassCoverage]:
    """Coverage by class, after one account sent `embeddings` (N, E) of predicted classes (N,)."""
    inside = inside_regions(geometry, embeddings, predicted)
    coverages = []
    for label, name in enumerate(class_names):
        here = predicted == label
        charged = embeddings[here & inside]
        records = charged[novel_rows(geometry, label, charged[:0], charged)]
        coverages.append(
            ClassCoverage(
                name=name,
                samples=int((labels == label).sum()),
                predicted=int(here.sum()),
                inside=float(inside[here].mean()) if here.any() else 0.0,
                records=len(records),
                cqs=cumulative_query_sensitivity(geometry, records, label),
                mean_radius=float(geometry.mean_radius[label]),
            )
        )
    return coverages
