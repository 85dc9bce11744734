from __future__ import annotations

import math

import numpy as np
import pytest

from queen.method.neighbors import Listed, are_near, nearest_distances


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


@pytest.mark.parametrize("far", [0.0, 1e3])
def test_near_is_a_record_of_the_same_list_within_the_radius(far: float) -> None:
    """As by the smallest of all distances, list by list; a list without records has none."""
    rng = np.random.default_rng(3)
    records, lists = far + rng.normal(size=(500, 2)), rng.integers(0, 4, 500)
    queries, asked = far + rng.normal(size=(300, 2)), rng.integers(0, 5, 300)
    queries[:40], asked[:40] = records[:40], lists[:40]
    radii = rng.choice([0.02, 0.1], 300)
    expected = [
        nearest_distances(records[lists == one], query[None])[0] <= radius
        for one, query, radius in zip(asked.tolist(), queries, radii, strict=True)
    ]
    found = are_near(Listed(queries, asked), Listed(records, lists), radii)
    assert found.tolist() == expected
    assert 40 < found.sum() < 300


def test_nothing_is_near_where_there_is_nothing() -> None:
    """No record, or no query."""
    nothing = Listed(np.empty((0, 2)), np.empty(0, int))
    something = Listed(np.zeros((1, 2)), np.zeros(1, int))
    assert are_near(something, nothing, np.ones(1)).tolist() == [False]
    assert are_near(nothing, something, np.ones(0)).tolist() == []
