"""The FAISS index against the brute-force oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queen.method.geometry import Geometry
from queen.method.neighbors import nearest_distances
from services.sensitivity.faiss_index import NeighborSearch, RecordIndex


def geometry_of(
    width: int, fraction: float, *, scale: float = 1.0, shift: float = 0.0, classes: int = 3
) -> Geometry:
    """Regions of radius `scale` and more, `shift` radii away from the origin."""
    rng = np.random.default_rng(width)
    centers = scale * (shift + rng.normal(size=(classes, width)))
    radius = scale * np.linspace(1.0, 2.0, classes)
    return Geometry(
        centers.astype(np.float32), radius.astype(np.float32), coverage_fraction=fraction
    )


def points_in(
    geometry: Geometry, labels: np.ndarray, rng: np.random.Generator, spread: float = 1.0
) -> np.ndarray:
    """A point of each label's region, uniform in direction and distance."""
    direction = rng.normal(size=(len(labels), geometry.embedding_width))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    length = spread * rng.uniform(size=len(labels)) * geometry.sensitive_radius[labels]
    return (geometry.cluster_centers[labels] + direction * length[:, None]).astype(np.float32)


def index_of(search: NeighborSearch, records: np.ndarray, label: int) -> RecordIndex:
    """An index of the records (M, E) of one class."""
    index = RecordIndex(records.shape[1])
    index.add(records, search.offsets(records, np.full(len(records), label)))
    return index


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(1, 8),
    fraction=st.sampled_from([1e-4, 0.001, 0.02, 0.3, 2.0]),
    scale=st.sampled_from([1e-18, 1e-3, 1.0, 1e6, 1e17]),
    shift=st.sampled_from([0.0, 30.0, 3000.0]),
)
def test_decisions_are_the_oracles(
    seed: int, width: int, fraction: float, scale: float, shift: float
) -> None:
    """Novel or covered: never once otherwise than in float64, however near the boundary."""
    rng = np.random.default_rng(seed)
    geometry = geometry_of(width, fraction, scale=scale, shift=shift)
    search = NeighborSearch(geometry)
    counts = rng.integers(0, 40, 3)
    stored = [points_in(geometry, np.full(count, c), rng) for c, count in enumerate(counts)]
    indexes = [index_of(search, records, label) for label, records in enumerate(stored)]
    labels = rng.integers(0, 3, 50)
    queries = points_in(geometry, labels, rng)
    _move_to_boundary(geometry, queries, labels, stored, rng)

    found = search.nearest(indexes, labels, queries, labels)

    for row, label in enumerate(labels):
        exact = nearest_distances(stored[label], queries[row : row + 1])[0]
        radius = geometry.coverage_radius[label]
        assert (found[row] > radius) == (exact > radius)
        if np.isfinite(exact):
            assert abs(found[row] - exact) <= 2e-2 * geometry.sensitive_radius[label]
        else:
            assert found[row] == np.inf


def _move_to_boundary(
    geometry: Geometry,
    queries: np.ndarray,
    labels: np.ndarray,
    stored: list[np.ndarray],
    rng: np.random.Generator,
) -> None:
    """Put half of the queries at r from a record, within a few units of rounding."""
    for row in range(0, len(queries), 2):
        records = stored[labels[row]]
        if len(records):
            direction = rng.normal(size=records.shape[1])
            direction /= np.linalg.norm(direction)
            length = geometry.coverage_radius[labels[row]] * (1 + rng.integers(-4, 5) * 1e-7)
            queries[row] = records[rng.integers(len(records))] + direction * length


def test_a_wide_batch_of_many_records_agrees_too() -> None:
    """The matrix kernel over thousands of records is decided as exactly as over a few."""
    rng = np.random.default_rng(1)
    geometry = geometry_of(2, 0.01, shift=50.0, classes=1)
    search = NeighborSearch(geometry)
    records = points_in(geometry, np.zeros(3000, int), rng)
    labels = np.zeros(256, int)
    queries = points_in(geometry, labels, rng)
    found = search.nearest([index_of(search, records, 0)], labels, queries, labels)
    exact = nearest_distances(records, queries)
    radius = geometry.coverage_radius[0]
    assert np.array_equal(found > radius, exact > radius)
    assert 0 < (exact > radius).sum() < 256


def test_float32_alone_would_decide_otherwise() -> None:
    """The oracle's test has teeth: without the exact step some rows fall on the other side."""
    rng = np.random.default_rng(3)
    geometry = geometry_of(2, 0.02, classes=1)
    search = NeighborSearch(geometry)
    zeros = np.zeros(400, int)
    records = points_in(geometry, zeros, rng)
    queries = points_in(geometry, zeros, rng)
    _move_to_boundary(geometry, queries, zeros, [records], rng)
    squared, ids = np.empty(400, np.float32), np.empty(400, np.int64)
    index_of(search, records, 0).search(search.offsets(queries, zeros), squared, ids)
    exact = nearest_distances(records, queries) > geometry.coverage_radius[0]
    assert ((np.sqrt(np.maximum(squared, 0)) > 0.02) != exact).sum() > 5


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), owners=st.integers(2, 12))
def test_a_search_never_sees_another_accounts_records(seed: int, owners: int) -> None:
    """Each row's answer is the one it gets when no other ledger exists."""
    rng = np.random.default_rng(seed)
    geometry = geometry_of(2, 0.1, classes=1)
    search = NeighborSearch(geometry)
    stored = [
        points_in(geometry, np.zeros(count, int), rng) for count in rng.integers(0, 20, owners)
    ]
    indexes = [index_of(search, records, 0) if len(records) else None for records in stored]
    ledger_index = rng.integers(0, owners, 64)
    # Every query sits on a record of somebody.
    everything = np.concatenate([*stored, np.zeros((1, 2), np.float32)])
    queries = everything[rng.integers(0, len(everything), 64)]
    labels = np.zeros(64, int)
    together = search.nearest(indexes, ledger_index, queries, labels)
    for row, owner in enumerate(ledger_index):
        alone = search.nearest(
            [indexes[owner]], np.zeros(1, int), queries[row : row + 1], labels[:1]
        )
        radius = geometry.coverage_radius[0]
        assert (together[row] > radius) == (alone[0] > radius)
        exact = nearest_distances(stored[owner], queries[row : row + 1])[0]
        assert (together[row] > radius) == (exact > radius)


def test_records_come_back_as_they_were_given() -> None:
    """The index keeps the float32 bits, not the offsets it searches."""
    geometry = geometry_of(2, 0.02, shift=1000.0, classes=1)
    search = NeighborSearch(geometry)
    rng = np.random.default_rng(0)
    index = RecordIndex(2)
    given_records = points_in(geometry, np.zeros(37, int), rng)
    for start in range(0, 37, 5):
        piece = given_records[start : start + 5]
        index.add(piece, search.offsets(piece, np.zeros(len(piece), int)))
    assert len(index) == 37
    assert index.records.tobytes() == given_records.tobytes()


@pytest.mark.parametrize("far", [1e20, 3e38])
def test_a_query_that_overflows_float32_is_decided_exactly(far: float) -> None:
    """Infinity inside FAISS does not become a verdict."""
    geometry = geometry_of(2, 0.02, scale=1e-3, classes=1)
    search = NeighborSearch(geometry)
    records = geometry.cluster_centers[:1].copy()
    query = np.full((1, 2), far, np.float32)
    found = search.nearest(
        [index_of(search, records, 0)], np.zeros(1, int), query, np.zeros(1, int)
    )
    assert found[0] == pytest.approx(nearest_distances(records, query)[0])
