from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from queen.fit.findings import strays
from queen.fit.findings.strays import METER_VOLUME, FittedMeter, fit_off_distribution, honest_volume
from queen.method.geometry import Geometry, fit_geometry
from queen.method.ledger import LedgerLevels, LedgerRows, assess_rows
from queen.method.off_distribution import OffDistributionMeter
from queen.method.sensitivity import (
    budget_thresholds,
    center_distances,
    mean_squared_sensitivity,
)
from tests.unit.fit.blobs import blobs


def _regions(each: int = 150) -> tuple[Geometry, NDArray[np.float32], NDArray[np.int64]]:
    """Regions in the plane, embeddings, and predicted classes of which a few are wrong."""
    embeddings, labels = blobs(classes=3, each=each, width=2)
    geometry = fit_geometry(embeddings, labels, 3, coverage_fraction=0.1)
    return geometry, embeddings, np.where(np.arange(len(labels)) % 20 == 0, 0, labels)


def _first_crossing(
    geometry: Geometry,
    embeddings: NDArray[np.float32],
    labels: NDArray[np.int64],
    thresholds: NDArray[np.float64],
) -> int | None:
    """Place of the first query after which a class is over its threshold, by the ledger step."""
    far = np.full(len(labels), np.inf)
    step = assess_rows(
        geometry, LedgerRows(embeddings, labels, labels), far, LedgerLevels(np.zeros(3), thresholds)
    )
    over = np.flatnonzero(step.cqs_after > thresholds[labels])
    return int(over[0]) if len(over) else None


@pytest.mark.parametrize("budget", [1, 5, 20])
def test_the_honest_volume_is_what_the_ledgers_would_take(budget: int) -> None:
    """The fewest queries of 100 orders before a threshold is crossed, less a tenth."""
    geometry, embeddings, predicted = _regions()
    squared = mean_squared_sensitivity(geometry, embeddings, predicted)
    thresholds = budget_thresholds(geometry, squared, budget)
    rng = np.random.default_rng([7, 3])
    firsts = []
    for _ in range(100):
        order = rng.permutation(len(predicted))
        first = _first_crossing(geometry, embeddings[order], predicted[order], thresholds)
        firsts.append(len(order) if first is None else first)
    found = honest_volume(geometry, embeddings, predicted, thresholds.tolist(), 7)
    assert found == int(0.9 * min(firsts))
    assert found >= budget - 1


def test_a_threshold_that_is_never_crossed_limits_no_volume() -> None:
    """A whole pass over the training set stays within the budget."""
    geometry, embeddings, predicted = _regions()
    assert honest_volume(geometry, embeddings, predicted, [np.inf] * 3, 0) is None
    assert honest_volume(geometry, embeddings, predicted, [1.0, 1.0, 1.0], 0) is None


def test_many_records_of_a_class_are_all_compared() -> None:
    """More than fit into the array at first: the volume is still that of the ledger step."""
    embeddings = np.random.default_rng(0).normal(size=(900, 2)).astype(np.float32)
    labels = np.zeros(900, np.int64)
    geometry = fit_geometry(embeddings, labels, 1, coverage_fraction=0.02)
    far = np.full(900, np.inf)
    whole = assess_rows(
        geometry,
        LedgerRows(embeddings, labels, labels),
        far,
        LedgerLevels(np.zeros(1), np.array([np.inf])),
    )
    threshold = 0.5 * float(whole.cqs_after[-1])
    rng = np.random.default_rng([0, 3])
    firsts = []
    for _ in range(100):
        order = rng.permutation(900)
        step = assess_rows(
            geometry,
            LedgerRows(embeddings[order], labels, labels),
            far,
            LedgerLevels(np.zeros(1), np.array([threshold])),
        )
        firsts.append(int(np.flatnonzero(step.cqs_after > threshold)[0]))
    assert len(whole.recorded) > 128
    assert honest_volume(geometry, embeddings, labels, [threshold], 0) == int(0.9 * min(firsts))


Asked = dict[str, Any]


def _fit_asked(monkeypatch: pytest.MonkeyPatch, held: NDArray[np.bool_]) -> tuple[Asked, Any]:
    """What the meter is fitted to, if those samples are held out; and the fit."""
    geometry, embeddings, predicted = _regions(each=400)
    meter = OffDistributionMeter(np.ones(3), 1.6, 0.13, 9.0)
    asked: Asked = {}

    def fit_meter(geometry: Geometry, distances: Any, labels: Any, **others: Any) -> Any:
        asked.update(distances=distances, labels=labels, **others)
        return meter, {10_000: 0.001, 500: 0.0}

    monkeypatch.setattr(strays, "fit_meter", fit_meter)
    rows = (geometry, embeddings, predicted)
    fitted = fit_off_distribution(*rows, held, false_flags=0.01, seed=5)
    asked["expected"] = center_distances(geometry, embeddings, predicted)
    return asked, fitted


def test_the_meter_is_fitted_to_held_out_samples_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that g trained on lie nearer to their centers than any query will."""
    held = np.arange(1200) % 2 == 0
    asked, fitted = _fit_asked(monkeypatch, held)
    np.testing.assert_array_equal(asked["distances"], asked["expected"][held])
    assert len(asked["labels"]) == 600
    assert (asked["volume"], asked["false_flags"], asked["seed"]) == (METER_VOLUME, 0.01, 5)
    assert isinstance(fitted, FittedMeter)
    assert fitted.false_flags == {"500": 0.0, "10000": 0.001}


@pytest.mark.parametrize("count", [0, 499])
def test_too_few_held_out_samples_are_joined_by_the_others(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """A quantile of 99 % needs some hundreds."""
    asked, _fitted = _fit_asked(monkeypatch, np.arange(1200) < count)
    np.testing.assert_array_equal(asked["distances"], asked["expected"])
