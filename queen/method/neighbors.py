"""Nearest records by brute force: the oracle that every index is tested against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray


def nearest_distances(records: NDArray[np.floating], queries: NDArray[np.floating]) -> FloatArray:
    """Distance of each query (Q, E) to the nearest of `records` (M, E), (Q,) float64.

    Infinite where there is no record. Differences are computed before squaring: the expansion
    ||a||^2 - 2ab + ||b||^2 loses every digit for near neighbors.
    """
    if len(records) == 0:
        return np.full(len(queries), np.inf)
    wide = np.asarray(records, np.float64)
    return np.array([np.sqrt(_squared(wide, query).min()) for query in np.asarray(queries)])


def _squared(records: FloatArray, query: NDArray[np.floating]) -> FloatArray:
    offset = records - query
    squared: FloatArray = np.einsum("me,me->m", offset, offset)
    return squared
