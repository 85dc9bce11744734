"""The records that a batch adds to a ledger."""

from __future__ import annotations

import numpy as np

from queen.method.fresh_records import FreshRecords


def test_a_point_is_covered_by_a_record_within_the_radius() -> None:
    """At the radius it still is; without a record nothing is covered."""
    fresh = FreshRecords(2)
    assert not fresh.cover(np.zeros(2), 10.0)
    fresh.append(np.array([3.0, 4.0]))
    assert fresh.cover(np.zeros(2), 5.0)
    assert not fresh.cover(np.zeros(2), 4.999)


def test_all_records_count_however_many_there_are() -> None:
    """The array grows, and keeps the records that it had."""
    fresh, points = FreshRecords(3), np.random.default_rng(0).normal(size=(50, 3))
    for point in points:
        fresh.append(point)
    assert all(fresh.cover(point, 1e-12) for point in points)
    assert not fresh.cover(points[0] + 100.0, 1.0)
