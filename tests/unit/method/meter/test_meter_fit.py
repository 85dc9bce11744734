"""The fit of the off-distribution meter, to honest samples and to simulated accounts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from queen.errors import FitError
from queen.method.geometry import FloatArray
from queen.method.meter.meter_fit import LOWEST_SHARE, fit_meter, share_steps, tail_distances
from queen.method.meter.off_distribution import OffDistributionMeter, after
from tests.unit.method.regions import discs

VOLUME, FALSE_FLAGS = 2000, 0.01


def test_the_steps_are_log_likelihood_ratios() -> None:
    """A share of p0 drifts down and a share of p1 up."""
    rise, fall = share_steps(0.03, 0.15)
    assert (rise, fall) == pytest.approx((math.log(5), math.log(0.97 / 0.85)))
    assert 0.03 * rise - 0.97 * fall < 0 < 0.15 * rise - 0.85 * fall
    for expected, suspicious in ((0.0, 0.1), (0.2, 0.1), (0.2, 0.2), (0.5, 1.0)):
        with pytest.raises(FitError, match="0 < p0 < p1 < 1"):
            share_steps(expected, suspicious)


def _honest(count: int, classes: int = 3) -> tuple[FloatArray, np.ndarray[Any, Any]]:
    """Distances of samples whose embeddings are normal around their centers, and labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % classes
    return np.linalg.norm(rng.normal(size=(count, 2)), axis=1), labels


def test_tails_are_the_quantile_of_each_class() -> None:
    """One of a hundred samples of a class lies beyond its tail, whatever the class's scale."""
    geometry = discs(3, radius=1.25)
    distances, labels = _honest(6000)
    distances = distances * np.array([1.0, 1.5, 2.0])[labels]
    tails = tail_distances(geometry, distances, labels)
    for label in range(3):
        own = distances[labels == label]
        assert tails[label] == pytest.approx(np.quantile(own, 0.99))
        assert (own > tails[label]).mean() == pytest.approx(0.01, abs=1e-3)


def test_a_small_class_takes_the_widest_tail() -> None:
    """With under 100 samples there is no such quantile: better too wide than too narrow."""
    geometry = discs(4)
    distances, labels = _honest(4000, classes=2)
    distances[labels == 1] *= 2.0
    small = np.full(99, 2)
    distances, labels = np.r_[distances, np.full(99, 1.5)], np.r_[labels, small]
    tails = tail_distances(geometry, distances, labels)
    # Class 2 has 99 samples and class 3 none.
    assert tails[2] == tails[3] == tails[1] == tails.max()
    enough = np.r_[distances, 1.5], np.r_[labels, 2]
    assert tail_distances(geometry, *enough)[2] == pytest.approx(1.5)


def test_without_any_class_of_a_hundred_the_farthest_sample_decides() -> None:
    """Its distance in radii of its class is the tail of all."""
    geometry = discs(2, radius=2.0)
    distances = np.array([1.0, 5.0, 3.0, 0.5])
    tails = tail_distances(geometry, distances, np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(tails, 5.0)


def test_a_tail_begins_outside_the_sensitive_region() -> None:
    """What is inside is charged there, and must not be counted twice."""
    geometry = discs(2, radius=3.0)
    distances, labels = 0.1 * _honest(2000)[0], np.arange(2000) % 2
    np.testing.assert_allclose(tail_distances(geometry, distances, labels), 3.0)
    np.testing.assert_allclose(tail_distances(geometry, distances[:4], labels[:4]), 3.0)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("count", [10, 2000])
def test_a_distance_that_is_not_finite_is_refused(wrong: float, count: int) -> None:
    """Its class would silently take the tail of the others."""
    distances, labels = _honest(count)
    distances[7] = wrong
    with pytest.raises(FitError, match="finite distances"):
        tail_distances(discs(3), distances, labels)


Fitted = tuple[OffDistributionMeter, dict[int, float]]


@pytest.fixture(scope="module", name="fitted")
def fitted_meter() -> Fitted:
    """A meter that may flag 1 % of honest accounts within 2,000 queries."""
    return fit_meter(discs(3), *_honest(6000), volume=VOLUME, false_flags=FALSE_FLAGS, seed=1)


def _flagged(meter: OffDistributionMeter, share: float, queries: int, accounts: int) -> list[int]:
    """Queries before the limit of simulated accounts with this share in the tail; -1 for none."""
    rng = np.random.default_rng(99)
    inside = _share_inside()
    firsts = []
    for _ in range(accounts):
        draws = rng.random(queries)
        is_record = draws >= 1 - (1 - share) * inside
        steps = meter.steps(draws < share, is_record, np.ones(queries)).tolist()
        level, first = 0.0, -1
        for query, step in enumerate(steps):
            level = after(level, step)
            if level >= meter.limit:
                first = query
                break
        firsts.append(first)
    return firsts


def _share_inside() -> float:
    """Share of the honest samples before the tail that lie inside a region of radius 1."""
    distances, _ = _honest(6000)
    return float((distances < 1.0).sum() / (distances <= np.quantile(distances, 0.99)).sum())


def test_a_record_falls_for_the_queries_that_cannot_be_one(fitted: Fitted) -> None:
    """Per query before the tail the level falls on average as if each lowered it."""
    meter, _rates = fitted
    _rise, fall = share_steps(LOWEST_SHARE, 5 * LOWEST_SHARE)
    assert meter.fall * _share_inside() == pytest.approx(fall, rel=1e-3)


def test_samples_outside_of_every_region_still_give_a_meter() -> None:
    """Its records are taken for rare, not for impossible."""
    distances, labels = _honest(6000)
    meter, _rates = fit_meter(
        discs(3), distances + 1.0, labels, volume=500, false_flags=FALSE_FLAGS, seed=1
    )
    _rise, fall = share_steps(LOWEST_SHARE, 5 * LOWEST_SHARE)
    assert meter.fall == pytest.approx(10 * fall)


def test_honest_accounts_are_flagged_at_most_at_the_stated_rate(fitted: Fitted) -> None:
    """By accounts drawn afresh, with as large a share in the tail as is still honest."""
    meter, rates = fitted
    assert rates[VOLUME] <= FALSE_FLAGS
    flagged = sum(first >= 0 for first in _flagged(meter, LOWEST_SHARE, VOLUME, 600))
    # Three standard deviations of 600 draws above the rate.
    assert flagged / 600 <= FALSE_FLAGS + 3 * math.sqrt(FALSE_FLAGS / 600)


def test_a_thief_with_a_share_of_p1_is_flagged_soon(fitted: Fitted) -> None:
    """All of them, half within 100 queries; a pool that is all tail within 10."""
    meter, _rates = fitted
    firsts = _flagged(meter, 5 * LOWEST_SHARE, VOLUME, 200)
    assert min(firsts) >= 0
    assert np.median(firsts) < 100
    assert max(_flagged(meter, 1.0, 20, 1)) < 10


def test_false_flags_grow_with_the_volume(fitted: Fitted) -> None:
    """And are given for a few volumes, the stated one among them."""
    rates = fitted[1]
    assert set(rates) == {500, 1000, 2000, 5000, 10_000}
    ordered = [rates[count] for count in sorted(rates)]
    assert ordered == sorted(ordered)


def test_the_same_seed_gives_the_same_meter(fitted: Fitted) -> None:
    """The limit is simulated, and yet part of a digest."""
    again, rates = fit_meter(
        discs(3), *_honest(6000), volume=VOLUME, false_flags=FALSE_FLAGS, seed=1
    )
    meter, expected = fitted
    assert (again.limit, again.rise, again.fall, rates) == (
        *(meter.limit, meter.rise, meter.fall),
        expected,
    )
    np.testing.assert_array_equal(again.tail_distance, meter.tail_distance)
