"""Nearest records by brute force: the oracle that every index is tested against.

And records that lie next to a query, which are few, for many ledgers at once.
"""

from __future__ import annotations

from typing import NamedTuple

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


class Listed(NamedTuple):
    """P points of several lists."""

    points: NDArray[np.floating]
    """(P, E)."""
    lists: NDArray[np.integer]
    """The list of each, (P,) from 0 on."""


def are_near(queries: Listed, records: Listed, radii: FloatArray) -> NDArray[np.bool_]:
    """Whether a record of its own list lies within its radius, of `radii` (Q,), of each query (Q,).

    For small radii: all records in a strip around a query are compared with it.
    """
    is_near = np.zeros(len(queries.points), np.bool_)
    if not len(records.points) or not len(is_near):
        return is_near
    asked, held = (np.asarray(listed.points, np.float64) for listed in (queries, records))
    low, high = held[:, 0].min(), held[:, 0].max()
    # The lists lie one behind another on the first axis, with room for a strip between them.
    length = (high - low) + 4.0 * radii.max()
    first = held[:, 0] - low + records.lists * length
    order = np.argsort(first)
    center = np.clip(asked[:, 0], low - radii, high + radii) - low + queries.lists * length
    # Wider than the rounding of these sums.
    reach = radii + 1e-12 * (length + center)
    begins = np.searchsorted(first[order], center - reach)
    counts = np.searchsorted(first[order], center + reach, side="right") - begins
    query = np.repeat(np.arange(len(asked)), counts)
    positions = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts - begins, counts)
    record = order[positions]
    offset = held[record] - asked[query]
    is_pair = np.sqrt(np.einsum("pe,pe->p", offset, offset)) <= radii[query]
    is_pair &= records.lists[record] == queries.lists[query]
    is_near[query[is_pair]] = True
    return is_near
