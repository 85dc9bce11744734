"""Single and cumulative query sensitivity, and the budget that they are held to.

Symbols: d distance to the cluster center, rs sensitive radius, r coverage radius,
T the cumulative query sensitivity (cqs) above which reversal begins.
"""

from __future__ import annotations

import math
from enum import StrEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

from queen.errors import ConfigError
from queen.method.geometry import FloatArray, Geometry, LabelArray

# Records arrive in any order and keep a distance of r, which is the random sequential packing
# of balls of radius r / 2. Density of that packing, by dimension, at which 1 try in 100 still
# has room: simulated on a torus with 3,000 to 14,000 balls, to about 1 %.
# Saturation (0.547 in the plane; Zhang and Torquato, 2013) takes endlessly many queries
# to come near, and more so in more dimensions: a budget up there would never be used up.
_REACHABLE_DENSITY = {1: 0.690, 2: 0.449, 3: 0.265, 4: 0.153, 5: 0.085, 6: 0.0466, 7: 0.025}
_REACHABLE_DENSITY |= {8: 0.0132}


_REACH = 32.0


class Charge(StrEnum):
    """The queries that are sensitive: a novel sensitive query is charged, as a record."""

    REGIONS = "regions"
    """Queries inside of the sensitive region of their class, as in the paper."""
    ANYWHERE = "anywhere"
    """Every query within 32 sensitive radii of its cluster center: those outside of the regions
    teach a copy, too. Training data lie within a few radii, and the off-distribution meter counts
    what lies farther out."""


def center_distances(
    geometry: Geometry, embeddings: NDArray[np.floating], labels: LabelArray
) -> FloatArray:
    """d = ||z - c_y||: `embeddings` (B, E), `labels` (B,) predicted -> (B,) float64."""
    offset = embeddings.astype(np.float64) - geometry.cluster_centers.take(labels, axis=0)
    distances: FloatArray = np.sqrt(np.einsum("be,be->b", offset, offset))
    return distances


def sensitive_rows(
    geometry: Geometry, distances: FloatArray, labels: LabelArray, charge: Charge
) -> NDArray[np.bool_]:
    """Marks of the sensitive rows, (B,), by distances d (B,) and predicted `labels` (B,)."""
    radii = _REACH if charge is Charge.ANYWHERE else 1.0
    is_sensitive: NDArray[np.bool_] = distances < radii * geometry.sensitive_radius[labels]
    return is_sensitive


def single_query_sensitivity(
    geometry: Geometry, distances: FloatArray, labels: LabelArray
) -> FloatArray:
    """sqs = 0.5 erfc(alpha (d - rs) / rs): `distances` (B,) -> (B,).

    With alpha = 1 it lies in [0.5, 0.92] inside the sensitive region.
    """
    radius = geometry.sensitive_radius[labels]
    return _half_erfc(geometry.alpha * (distances - radius) / radius)


def record_weight(geometry: Geometry, sqs: FloatArray) -> FloatArray:
    """The share of a record in cqs: sqs^2 (r / rs)^E, `sqs` (B,) -> (B,).

    A record outside of its region, where sqs is below 1/2, weighs as much as one on the radius:
    only some services keep such records (`Charge`).
    """
    share = geometry.coverage_fraction**geometry.embedding_width
    weight: FloatArray = np.square(np.maximum(sqs, 0.5)) * share
    return weight


def record_weights(
    geometry: Geometry, records: NDArray[np.floating], labels: LabelArray
) -> FloatArray:
    """`record_weight` of each of `records` (R, E) of classes `labels` (R,), (R,)."""
    distances = center_distances(geometry, records, labels)
    return record_weight(geometry, single_query_sensitivity(geometry, distances, labels))


def cumulative_query_sensitivity(
    geometry: Geometry, records: NDArray[np.floating], label: int
) -> float:
    """cqs(y): the sum of `record_weight` over the records (M, E) of class `label`.

    A pure function of the record set, which is why records are the only state.
    """
    if len(records) == 0:
        return 0.0
    return float(record_weights(geometry, records, np.full(len(records), label)).sum())


def mean_squared_sensitivity(
    geometry: Geometry, embeddings: NDArray[np.floating], labels: LabelArray
) -> FloatArray:
    """Mean sqs^2 of the samples inside each sensitive region, (C,).

    `embeddings` (N, E) and true `labels` (N,) of the training set. A class with no
    sample inside (all lie exactly on the radius) gets the mean over its region.
    """
    distances = center_distances(geometry, embeddings, labels)
    squared = np.square(single_query_sensitivity(geometry, distances, labels))
    inside = distances < geometry.sensitive_radius[labels]
    counts = np.bincount(labels[inside], minlength=geometry.num_classes)
    sums = np.bincount(labels[inside], squared[inside], minlength=geometry.num_classes)
    uniform = _mean_squared_over_region(geometry.alpha, geometry.embedding_width)
    return np.where(counts > 0, sums / np.maximum(counts, 1), uniform)


@cache
def packing_limit(alpha: float, embedding_width: int) -> float:
    """The cqs that records a distance r apart can reach in a region of even queries.

    density * 2^E * mean of sqs^2 over the region; 0.83 for alpha = 1, E = 2. There only
    1 query in 100 is still novel. Raises ConfigError for an E above 8.
    """
    density = _REACHABLE_DENSITY.get(embedding_width)
    if density is None:
        raise ConfigError(
            f"expected an embedding width of 1 to {max(_REACHABLE_DENSITY)}, got {embedding_width}"
        )
    return density * 2.0**embedding_width * _mean_squared_over_region(alpha, embedding_width)


def budget_thresholds(geometry: Geometry, mean_squared_sqs: FloatArray, budget: int) -> FloatArray:
    """T_y = N * mean sqs_y^2 * (r / rs)^E for a budget of N records of a class, (C,).

    The operator states N, "reversal begins after about N distinct sensitive queries
    of a class"; T follows from it. Raises ConfigError for a T that no class can reach.
    """
    if budget < 1:
        raise ConfigError(f"expected a budget of at least 1 record of a class, got {budget}")
    largest = largest_budget(geometry, mean_squared_sqs)
    if budget > largest:
        raise ConfigError(
            f"expected a budget of at most {largest} records of a class, got {budget}: the "
            f"sensitive region is full before (coverage fraction {geometry.coverage_fraction}); "
            "state a smaller budget or fit with a smaller coverage fraction"
        )
    thresholds: FloatArray = budget * record_weight(geometry, np.sqrt(mean_squared_sqs))
    return thresholds


def largest_budget(geometry: Geometry, mean_squared_sqs: FloatArray) -> int:
    """Largest budget whose T stays under the packing limit in every class."""
    limit = packing_limit(geometry.alpha, geometry.embedding_width)
    per_record = record_weight(geometry, np.sqrt(mean_squared_sqs))
    return math.floor(limit / float(per_record.max()))


def budget_ceiling(coverage_fraction: float, embedding_width: int) -> int:
    """A budget that no regions with alpha 1 exceed, however their samples lie.

    sqs^2 is at least 1/4 inside a region, so N (r / rs)^E / 4 is at most the packing limit.
    Raises ConfigError for an E above 8.
    """
    least_weight = 0.25 * coverage_fraction**embedding_width
    return int(packing_limit(1.0, embedding_width) / least_weight)


def _half_erfc(values: FloatArray) -> FloatArray:
    # NumPy has no erfc, and SciPy would be 35 MB in an image for this one line.
    return 0.5 * np.fromiter(map(math.erfc, values.tolist()), np.float64, len(values))


def _mean_squared_over_region(alpha: float, embedding_width: int) -> float:
    """Mean of sqs^2 over the ball of radius rs, by the midpoint rule in the radius."""
    rho = (np.arange(4096) + 0.5) / 4096
    shell = embedding_width * rho ** (embedding_width - 1)
    return float(np.mean(np.square(_half_erfc(alpha * (rho - 1.0))) * shell))
