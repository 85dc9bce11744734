"""What honest traffic looks like to the meters: the tail of a class, and the volume it takes.

Shapes: N samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray, Geometry
from queen.method.off_distribution import OffDistributionMeter, fit_meter
from queen.method.sensitivity import (
    center_distances,
    record_weight,
    single_query_sensitivity,
)

METER_VOLUME = 10_000
"""Queries within which the stated share of honest accounts may be flagged."""
_ORDERS = 100
_FEWEST_HELD_OUT = 500


@dataclass(frozen=True, eq=False)
class FittedMeter:
    """The meter, and the simulated share of honest accounts flagged within so many queries."""

    meter: OffDistributionMeter
    false_flags: dict[str, float]


def fit_off_distribution(
    geometry: Geometry,
    embeddings: NDArray[np.float32],
    predicted: NDArray[np.int64],
    held: NDArray[np.bool_],
    *,
    false_flags: float,
    seed: int,
) -> FittedMeter:
    """Fit the meter to the samples that g did not train on, `held` (N,), if they are enough.

    `embeddings` (N, E), `predicted` (N,). With fewer than 500 of them, to all samples.
    """
    rows = held if held.sum() >= _FEWEST_HELD_OUT else np.ones(len(held), np.bool_)
    labels = predicted[rows]
    distances = center_distances(geometry, embeddings[rows], labels)
    meter, rates = fit_meter(
        geometry, distances, labels, volume=METER_VOLUME, false_flags=false_flags, seed=seed
    )
    return FittedMeter(meter, {str(count): rate for count, rate in sorted(rates.items())})


def honest_volume(
    geometry: Geometry,
    embeddings: NDArray[np.float32],
    predicted: NDArray[np.int64],
    thresholds: Sequence[float],
    seed: int,
) -> int | None:
    """Queries that an honest account may ask before any class crosses its threshold.

    The fewest over 100 random orders of the training samples, less a tenth. Training
    samples lie nearer to their centers than new ones, so a real account has somewhat more.
    None if a whole pass over the training set crosses nothing.
    """
    rng = np.random.default_rng([seed, 3])
    walk = _Walk(geometry, embeddings, predicted, thresholds)
    fewest: int | None = None
    for _ in range(_ORDERS):
        # What comes after the fewest so far cannot be fewer.
        crossed = walk.first_crossing(rng.permutation(len(predicted))[:fewest])
        fewest = fewest if crossed is None else crossed
    return None if fewest is None else int(0.9 * fewest)


class _Walk:
    """The ledger step on one account, query by query, as far as the first crossing."""

    def __init__(
        self,
        geometry: Geometry,
        embeddings: NDArray[np.float32],
        predicted: NDArray[np.int64],
        thresholds: Sequence[float],
    ) -> None:
        distances = center_distances(geometry, embeddings, predicted)
        sqs = single_query_sensitivity(geometry, distances, predicted)
        self._inside = distances < geometry.sensitive_radius[predicted]
        self._weights = record_weight(geometry, sqs)
        self._radius = geometry.coverage_radius
        self._embeddings = embeddings.astype(np.float64)
        self._labels = predicted
        self._thresholds = thresholds

    def first_crossing(self, order: NDArray[np.int64]) -> int | None:
        """Place in `order` of the query that takes a class over its threshold."""
        cqs = [0.0] * len(self._thresholds)
        kept: dict[int, _Kept] = {}
        for place, row in enumerate(order.tolist()):
            label = int(self._labels[row])
            if not self._inside[row]:
                continue
            records = kept.setdefault(label, _Kept(self._embeddings.shape[1]))
            if not records.take(self._embeddings[row], self._radius[label]):
                continue
            cqs[label] += float(self._weights[row])
            if cqs[label] > self._thresholds[label]:
                return place
        return None


class _Kept:
    """Records of one class, pairwise more than r apart, in an array that doubles."""

    def __init__(self, width: int) -> None:
        self._points = np.empty((64, width))
        self._count = 0

    def take(self, embedding: FloatArray, radius: float) -> bool:
        """Keep `embedding` (E,) if no record covers it; whether it was kept."""
        offset = self._points[: self._count] - embedding
        if self._count and np.einsum("me,me->m", offset, offset).min() <= radius**2:
            return False
        if self._count == len(self._points):
            self._points = np.concatenate([self._points, np.empty_like(self._points)])
        self._points[self._count] = embedding
        self._count += 1
        return True
