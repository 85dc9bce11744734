from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from queen.errors import FitError, ShapeMismatch
from queen.method.geometry import Geometry, fit_feature_centers, fit_geometry
from tests.unit.method.regions import discs


def test_centers_and_radii_are_means_over_all_samples() -> None:
    """c_y is the mean embedding of class y and rho_y the mean distance to it, sample by sample."""
    rng = np.random.default_rng(1)
    embeddings, labels = rng.normal(size=(60, 3)), np.arange(60) % 4
    geometry = replace(fit_geometry(embeddings, labels, 4, coverage_fraction=0.1), beta=1.5)
    for label in range(4):
        members = [z for z, y in zip(embeddings, labels, strict=True) if y == label]
        center = sum(members) / len(members)
        rho = sum(float(np.sqrt(((z - center) ** 2).sum())) for z in members) / len(members)
        np.testing.assert_allclose(geometry.cluster_centers[label], center, atol=1e-6)
        assert geometry.mean_radius[label] == pytest.approx(rho, rel=1e-6)
        assert geometry.sensitive_radius[label] == pytest.approx(1.5 * rho, rel=1e-6)
        assert geometry.coverage_radius[label] == pytest.approx(0.15 * rho, rel=1e-6)


def test_feature_centers_are_class_means() -> None:
    """F_y is the mean feature of class y, in float32."""
    features = np.array([[0, 0], [2, 4], [10, 0], [20, 2]], np.float32)
    centers = fit_feature_centers(features, np.array([0, 0, 1, 1]), 2)
    assert centers.dtype == np.float32
    np.testing.assert_array_equal(centers, [[1, 2], [15, 1]])


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ([0, 0, 1, 1, 1], "class 2 (bird): expected at least 2 samples, got 0"),
        ([0, 0, 1, 2, 2], "class 1 (dog): expected at least 2 samples, got 1"),
        ([0, 0, 1, 1, 3], "expected labels in 0..2, got 0..3"),
        ([0, -1, 1, 1, 2], "expected labels in 0..2, got -1..2"),
    ],
)
def test_a_class_that_would_be_unprotected_is_named(labels: list[int], problem: str) -> None:
    """Too few samples of a class, or a label out of range, is an error that says which."""
    embeddings = np.random.default_rng(0).normal(size=(5, 2))
    with pytest.raises(FitError) as error:
        fit_geometry(embeddings, np.array(labels), 3, class_names=["cat", "dog", "bird"])
    assert problem in str(error.value)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_an_embedding_that_is_not_finite_names_its_class(broken: float) -> None:
    """One NaN or infinity among the embeddings is an error that names the class it is in."""
    embeddings = np.random.default_rng(0).normal(size=(9, 2))
    embeddings[4] = broken
    with pytest.raises(FitError, match="class 1: its embeddings are not finite"):
        fit_geometry(embeddings, np.arange(9) % 3, 3)


def test_a_radius_of_zero_names_its_class() -> None:
    """A class whose samples all have one embedding has no region, and is an error."""
    embeddings = np.array([[0, 0], [1, 1], [5, 5], [5, 5]], float)
    with pytest.raises(FitError, match="class 1: expected a mean radius above 0"):
        fit_geometry(embeddings, np.array([0, 0, 1, 1]), 2)


def test_an_empty_training_set_is_an_error() -> None:
    """No sample at all names the first class that has none."""
    with pytest.raises(FitError, match="class 0: expected at least 2 samples, got 0"):
        fit_geometry(np.empty((0, 2)), np.empty(0, np.int64), 2)


@pytest.mark.parametrize("name", ["alpha", "beta", "coverage_fraction"])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_a_scalar_out_of_range_is_refused_by_name(name: str, value: float) -> None:
    """alpha, beta and the coverage fraction are positive, finite numbers."""
    with pytest.raises(FitError, match=f"expected {name} above 0"):
        Geometry(np.zeros((2, 2), np.float32), np.ones(2, np.float32), **{name: value})


@pytest.mark.parametrize("shape", [(2,), (3,), (3, 1)])
def test_centers_and_radii_must_agree(shape: tuple[int, ...]) -> None:
    """Shapes that contradict each other are refused, and both are said."""
    with pytest.raises(ShapeMismatch, match=r"expected cluster centers \(C, E\)"):
        Geometry(np.zeros((4, 2), np.float32), np.ones(shape, np.float32))


def test_the_digest_follows_every_part_of_the_geometry() -> None:
    """Ledgers are kept under the digest, so that any other geometry has another one."""
    base = discs(3)
    moved, wider = base.cluster_centers.copy(), base.mean_radius.copy()
    moved[1, 1] += 1e-3
    wider[2] += 1e-3
    others = [
        Geometry(moved, base.mean_radius, 1.0, 1.0, 0.1),
        Geometry(base.cluster_centers, wider, 1.0, 1.0, 0.1),
        Geometry(base.cluster_centers, base.mean_radius, 1.1, 1.0, 0.1),
        Geometry(base.cluster_centers, base.mean_radius, 1.0, 1.1, 0.1),
        Geometry(base.cluster_centers, base.mean_radius, 1.0, 1.0, 0.2),
    ]
    assert len({geometry.digest for geometry in [base, *others]}) == 6
    assert discs(3).digest == base.digest


def test_the_digest_knows_parameters_not_their_spelling() -> None:
    """1, 1.0 and np.float64(1.0) are one parameter, whose digest survives a file."""
    arrays = discs(2).cluster_centers, discs(2).mean_radius
    spelled = [Geometry(*arrays, unit, unit, 0.1) for unit in (1, 1.0, np.float64(1.0))]
    assert len({geometry.digest for geometry in spelled}) == 1


def test_the_digest_knows_where_centers_end() -> None:
    """Twelve equal numbers split into other shapes are another geometry."""
    regions = Geometry(np.ones((4, 2), np.float32), np.ones(4, np.float32))
    other = Geometry(np.ones((3, 3), np.float32), np.ones(3, np.float32))
    assert regions.digest != other.digest
