import numpy as np
import pytest

from queen.fit.findings.report import (
    make_report,
    measure_mapping,
    measure_protectee,
    measure_shadows,
    nearest_class,
)
from queen.fit.fitted import Fitted, OffDistribution, Shadows
from queen.fit.training.shadows import ShadowPlan, train_shadows
from queen.method.geometry import fit_geometry
from queen.method.meter.off_distribution import OffDistributionMeter
from queen.method.sensitivity import largest_budget
from tests.unit.fit.blobs import blobs
from tests.unit.fit.fitted import answered, regions_of


@pytest.fixture(name="fitted")
def fit_with_regions() -> Fitted:
    """Three blobs in the plane, a tenth held out, every ninth sample with a wrong label."""
    embeddings, labels = blobs(classes=3, per_class=60, width=2, spread=0.1)
    fitted = answered(embeddings, labels, shadows=3, shadows_drawn=2)
    fitted.regions = regions_of(embeddings, labels, fitted.responses.predicted)
    return fitted


def test_the_nearest_class_is_that_of_the_nearest_center() -> None:
    """Found center by center, as by comparing all at once."""
    embeddings, labels = blobs(classes=5, width=3, spread=2.0)
    geometry = fit_geometry(embeddings, labels, 5)
    offsets = embeddings[:, None] - geometry.cluster_centers
    expected = np.square(offsets).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest_class(geometry, embeddings), expected)


def test_the_accuracy_is_over_the_training_set(fitted: Fitted) -> None:
    """The share of samples whose predicted class is the true one."""
    right = (fitted.responses.predicted == fitted.samples.y).mean()
    assert measure_protectee(fitted)["accuracy"] == pytest.approx(right, abs=1e-6)


def test_training_and_held_out_samples_are_measured_apart(fitted: Fitted) -> None:
    """What holds for the samples of g's training may not hold for queries."""
    held, inside = fitted.held_out, fitted.regions.inside
    figures = measure_mapping(fitted)
    assert figures["held_out"] == 18
    assert figures["inside"]["training"] == pytest.approx(inside[~held].mean(), abs=1e-6)
    assert figures["inside"]["held_out"] == pytest.approx(inside[held].mean(), abs=1e-6)
    assert figures["epochs"] == 3


def test_without_held_out_samples_the_others_stand_for_them() -> None:
    """Classes of nine samples give none away."""
    embeddings, labels = blobs(classes=3, per_class=9, width=2)
    fitted = answered(embeddings, labels)
    fitted.regions = regions_of(embeddings, labels, fitted.responses.predicted)
    figures = measure_mapping(fitted)
    assert figures["held_out"] == 0
    assert figures["inside"]["held_out"] == figures["inside"]["training"]


def test_shadows_are_measured_inside_regions(fitted: Fitted) -> None:
    """Their accuracy, and flip rates for one, K and all of them drawn."""
    plan = ShadowPlan("inputs", 3, 1, 5, 0)
    networks = train_shadows(fitted.samples.x, fitted.samples.y, 3, plan)
    figures = measure_shadows(fitted, plan, networks)
    assert figures["samples_asked"] == fitted.regions.inside.sum()
    assert list(figures["flip_rate_by_drawn"]) == ["1", "2", "3"]
    assert figures["flip_rate"] == figures["flip_rate_by_drawn"]["2"]
    low, high = figures["accuracy_range"]
    assert low <= figures["accuracy"] <= high


def test_the_report_holds_every_part(fitted: Fitted) -> None:
    """One entry a class, the largest budget, and the figures of the stages."""
    fitted.shadows = Shadows([], [2], {"flip_rate": 0.95})
    meter = OffDistributionMeter(np.ones(3), 1.6, 0.13, 9.0)
    fitted.off_distribution = OffDistribution(meter, {"1000": 0.0})
    report = make_report(fitted)
    assert report.samples == 180
    assert [coverage.name for coverage in report.classes] == ["class 0", "class 1", "class 2"]
    regions = fitted.regions
    assert report.largest_budget == largest_budget(regions.geometry, regions.mean_squared_sqs)
    assert report.shadows == {"flip_rate": 0.95}
    assert report.off_distribution == {"false_flags": {"1000": 0.0}}
