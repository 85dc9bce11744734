from __future__ import annotations

import math

import numpy as np

from queen.method.neighbors import nearest_distances


def test_the_nearest_is_the_smallest_of_all_distances() -> None:
    """Against a loop over every pair with math.dist."""
    rng = np.random.default_rng(0)
    records, queries = rng.normal(size=(17, 3)), rng.normal(size=(9, 3))
    slow = [min(math.dist(record, query) for record in records) for query in queries]
    np.testing.assert_allclose(nearest_distances(records, queries), slow, rtol=1e-14)


def test_without_records_every_query_is_infinitely_far() -> None:
    """An empty ledger covers nothing."""
    nearest = nearest_distances(np.empty((0, 2), np.float32), np.zeros((3, 2), np.float32))
    assert np.isinf(nearest).all()
    assert nearest.shape == (3,)


def test_near_neighbours_far_from_the_origin_keep_their_digits() -> None:
    """The expansion of the square would lose these distances wholly."""
    records = np.array([[1e6, 1e6]], np.float64)
    queries = np.array([[1e6 + 1e-4, 1e6]])
    assert math.isclose(nearest_distances(records, queries)[0], 1e-4, rel_tol=1e-5)


def test_no_query_gives_no_distance() -> None:
    """An empty batch is not an error."""
    assert nearest_distances(np.ones((2, 2)), np.empty((0, 2))).shape == (0,)
