from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erfc

from queen.errors import ConfigError
from queen.method.geometry import Geometry
from queen.method.neighbors import nearest_distances
from queen.method.sensitivity import (
    budget_ceiling,
    budget_thresholds,
    center_distances,
    cumulative_query_sensitivity,
    largest_budget,
    mean_squared_sensitivity,
    packing_limit,
    record_weight,
    single_query_sensitivity,
)
from tests.unit.method.regions import bounded, discs, inside_region


@given(st.floats(0, 5), st.floats(0.1, 4), st.integers(0, 2))
@bounded
def test_sqs_is_the_published_formula(distance: float, alpha: float, label: int) -> None:
    """sqs = 0.5 erfc(alpha (d - rs) / rs), against SciPy's erfc, in each class's own radius."""
    radii = np.array([0.5, 1.0, 2.0], np.float32)
    geometry = Geometry(np.zeros((3, 2), np.float32), radii, alpha)
    sqs = single_query_sensitivity(geometry, np.array([distance]), np.array([label]))
    radius = float(radii[label])
    assert sqs[0] == pytest.approx(0.5 * erfc(alpha * (distance - radius) / radius), rel=1e-12)


def test_sqs_runs_from_092_at_the_center_to_one_half_at_the_radius() -> None:
    """With alpha = 1, sqs lies in [0.5, 0.92] inside the region and falls with the distance."""
    distances = np.linspace(0, 1, 50)
    sqs = single_query_sensitivity(discs(1), distances, np.zeros(50, np.int64))
    assert sqs[0] == pytest.approx(0.9214, abs=1e-4)
    assert sqs[-1] == 0.5
    assert (np.diff(sqs) < 0).all()


def test_center_distances_are_to_the_center_of_the_label() -> None:
    """d = ||z - c_y|| takes y's own center, and float32 embeddings lose nothing on the way."""
    geometry = discs(3)
    embeddings = np.array([[3, 4], [10, 1], [20, 0]], np.float32)
    distances = center_distances(geometry, embeddings, np.array([0, 1, 1]))
    np.testing.assert_array_equal(distances, [5, 1, 10])
    assert distances.dtype == np.float64


@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
@bounded
def test_cqs_is_the_sum_over_the_records(count: int, seed: int) -> None:
    """cqs(y) = sum of sqs^2 (r / rs)^E over the records, in any order; 0 without a record."""
    geometry = discs(2, 3, coverage_fraction=0.2)
    rng = np.random.default_rng(seed)
    records = inside_region(rng, geometry, 1, count)
    total = 0.0
    for record in records.astype(np.float64):
        distance = np.linalg.norm(record - geometry.cluster_centers[1])
        total += (0.5 * erfc(distance - 1.0)) ** 2 * 0.2**3
    assert cumulative_query_sensitivity(geometry, records, 1) == pytest.approx(total, abs=1e-12)
    shuffled = rng.permutation(records)
    assert cumulative_query_sensitivity(geometry, shuffled, 1) == pytest.approx(total, abs=1e-12)


def test_mean_squared_sensitivity_counts_samples_inside_only() -> None:
    """Mean sqs^2 per class over the samples with d < rs; others and other classes do not enter."""
    geometry = discs(2)
    embeddings = np.array([[0, 0], [0.5, 0], [3, 0], [10, 1], [10, 0.9]])
    mean = mean_squared_sensitivity(geometry, embeddings, np.array([0, 0, 0, 1, 1]))
    sqs = 0.5 * erfc(np.array([-1, -0.5, -0.1]))
    # float32 centers do not hold 10.9 - 10 exactly, and (10, 1) lies on the radius.
    np.testing.assert_allclose(mean, [(sqs[0] ** 2 + sqs[1] ** 2) / 2, sqs[2] ** 2], rtol=1e-6)


def test_a_class_without_a_sample_inside_gets_the_mean_over_its_region() -> None:
    """All samples on the radius itself leave a class with the even spread, never with 0 or NaN."""
    geometry = discs(1)
    mean = mean_squared_sensitivity(geometry, np.array([[1.0, 0], [-1.0, 0]]), np.array([0, 0]))
    spread = inside_region(np.random.default_rng(0), geometry, 0, 40_000)
    sqs = 0.5 * erfc(np.linalg.norm(spread, axis=1) - 1)
    assert mean[0] == pytest.approx(np.square(sqs).mean(), abs=3e-3)


def _pack_until_rarely_novel(rng: np.random.Generator, geometry: Geometry) -> np.ndarray:
    """Random sequential packing of even points, until fewer than 1 in 100 is novel."""
    radius, kept = float(geometry.coverage_radius[0]), np.empty((0, geometry.embedding_width))
    while True:
        points = inside_region(rng, geometry, 0, 4_000).astype(np.float64)
        points = points[nearest_distances(kept, points) > radius]
        if len(points) < 40:
            return kept
        for point in points:
            if nearest_distances(kept, point[None])[0] > radius:
                kept = np.vstack([kept, point])


@pytest.mark.parametrize(("width", "coverage_fraction"), [(1, 0.004), (2, 0.07), (3, 0.2)])
def test_even_queries_reach_the_packing_limit(width: int, coverage_fraction: float) -> None:
    """Packed until 1 query in 100 is novel, a region holds the limit, and its rim a bit more."""
    geometry = discs(1, width, coverage_fraction=coverage_fraction)
    records = _pack_until_rarely_novel(np.random.default_rng(3), geometry)
    cqs = cumulative_query_sensitivity(geometry, records, 0)
    # Balls may reach over the rim by half of r; sqs is lowest there.
    rim = (1 + coverage_fraction / 2) ** width
    assert 0.93 < cqs / packing_limit(1.0, width) < 1.07 * rim


def test_the_packing_limit_of_the_plane_is_the_stated_one() -> None:
    """cqs gets near 0.85 for alpha = 1 and E = 2, as measured; a width above 8 is refused."""
    assert packing_limit(1.0, 2) == pytest.approx(0.85, abs=0.03)
    with pytest.raises(ConfigError, match="expected an embedding width of 1 to 8, got 9"):
        packing_limit(1.0, 9)


def test_thresholds_grow_with_the_budget_class_by_class() -> None:
    """T_y = N mean(sqs_y^2) (r / rs)^E: proportional to N and to the class's own mean."""
    geometry = discs(3, coverage_fraction=0.02)
    mean = np.array([0.3, 0.4, 0.5])
    np.testing.assert_allclose(budget_thresholds(geometry, mean, 100), 100 * mean * 0.02**2)


def test_the_largest_budget_is_accepted_and_the_next_is_not() -> None:
    """The bound that the error states is the bound that is applied, over the worst class."""
    geometry = discs(3, coverage_fraction=0.02)
    mean = np.array([0.3, 0.4, 0.5])
    largest = largest_budget(geometry, mean)
    limit = packing_limit(1.0, 2)
    assert budget_thresholds(geometry, mean, largest).max() <= limit
    with pytest.raises(ConfigError, match=f"at most {largest} records of a class"):
        budget_thresholds(geometry, mean, largest + 1)


@pytest.mark.parametrize("width", [1, 2, 8])
def test_no_regions_hold_more_than_the_ceiling(width: int) -> None:
    """The least mean sqs^2 inside a region is 1/4; any other leaves room for fewer records."""
    ceiling = budget_ceiling(0.02, width)
    geometry = discs(2, width, coverage_fraction=0.02)
    assert largest_budget(geometry, np.array([0.25, 0.25])) == pytest.approx(ceiling, abs=1)
    assert largest_budget(geometry, np.array([0.25, 0.5])) <= ceiling / 1.9


@pytest.mark.parametrize("budget", [0, -5])
def test_a_budget_below_one_is_refused(budget: int) -> None:
    """A budget is a count of records; zero would reverse an account's second query."""
    with pytest.raises(ConfigError, match=f"at least 1 record of a class, got {budget}"):
        budget_thresholds(discs(1), np.array([0.4]), budget)


def test_a_record_weighs_its_share_of_the_region() -> None:
    """sqs^2 (r / rs)^E follows the embedding width."""
    geometry = discs(1, 3, coverage_fraction=0.5)
    np.testing.assert_allclose(record_weight(geometry, np.array([0.5, 0.8])), [0.03125, 0.08])


def test_a_record_outside_weighs_as_one_on_the_radius() -> None:
    """However far it lies."""
    geometry = discs(coverage_fraction=0.1)
    labels = np.zeros(4, np.int64)
    sqs = single_query_sensitivity(geometry, np.array([0.9, 1.0, 1.5, 30.0]), labels)
    inside, *outside = record_weight(geometry, sqs)
    assert outside == pytest.approx([0.25 * 0.1**2] * 3)
    assert inside == pytest.approx(sqs[0] ** 2 * 0.1**2)


def test_empty_batches_have_empty_answers() -> None:
    """No row in, no row out, without an error."""
    geometry = discs(1)
    distances = center_distances(geometry, np.empty((0, 2), np.float32), np.empty(0, np.int64))
    sqs = single_query_sensitivity(geometry, distances, np.empty(0, np.int64))
    assert distances.shape == sqs.shape == (0,)
