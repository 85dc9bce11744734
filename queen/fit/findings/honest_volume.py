"""The number of queries that an honest account may ask before any of its ledgers is crossed.

Shapes: N samples, E embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from queen.method.fresh_records import FreshRecords
from queen.method.geometry import Geometry
from queen.method.sensitivity import (
    center_distances,
    record_weight,
    single_query_sensitivity,
)

_ORDERS = 100


def honest_volume(
    geometry: Geometry,
    embeddings: NDArray[np.float32],
    predicted: NDArray[np.int64],
    thresholds: Sequence[float],
    seed: int,
) -> int | None:
    """Queries that an honest account may ask before any class crosses its threshold.

    The fewest over 100 random orders of the training samples, with `embeddings` (N, E) and
    `predicted` (N,), less a tenth. Training samples lie nearer to their centers than new
    samples, so a real account has somewhat more. None if a whole pass over the training set
    crosses no threshold.
    """
    rng = np.random.default_rng([seed, 3])
    walk = _Walk(geometry, embeddings, predicted, thresholds)
    fewest: int | None = None
    for _ in range(_ORDERS):
        # A crossing matters only if it comes after fewer queries than the fewest so far.
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
        """Position in `order` of the query after which a class is crossed."""
        cqs = [0.0] * len(self._thresholds)
        records = [FreshRecords(self._embeddings.shape[1]) for _ in self._thresholds]
        for position, row in enumerate(order.tolist()):
            label, embedding = int(self._labels[row]), self._embeddings[row]
            if not self._inside[row] or records[label].cover(embedding, self._radius[label]):
                continue
            records[label].append(embedding)
            cqs[label] += float(self._weights[row])
            if cqs[label] > self._thresholds[label]:
                return position
        return None
