import numpy as np
import pytest
from numpy.typing import NDArray

from queen.fit.findings.honest_volume import honest_volume
from queen.method.geometry import Geometry, fit_geometry
from queen.method.ledger import LedgerLevels, LedgerRows, assess_rows
from queen.method.sensitivity import (
    budget_thresholds,
    mean_squared_sensitivity,
)
from tests.unit.fit.blobs import blobs


def _regions(per_class: int = 150) -> tuple[Geometry, NDArray[np.float32], NDArray[np.int64]]:
    """Regions in the plane, embeddings, and predicted classes of which a few are wrong."""
    embeddings, labels = blobs(classes=3, per_class=per_class, width=2)
    geometry = fit_geometry(embeddings, labels, 3, coverage_fraction=0.1)
    return geometry, embeddings, np.where(np.arange(len(labels)) % 20 == 0, 0, labels)


def _first_crossing(
    geometry: Geometry,
    embeddings: NDArray[np.float32],
    labels: NDArray[np.int64],
    thresholds: NDArray[np.float64],
) -> int | None:
    """Position of the first query after which a class is over its threshold, by the ledger step."""
    far = np.full(len(labels), np.inf)
    step = assess_rows(
        geometry, LedgerRows(embeddings, labels, labels), far, LedgerLevels(np.zeros(3), thresholds)
    )
    over = np.flatnonzero(step.cqs_after > thresholds[labels])
    return int(over[0]) if len(over) else None


@pytest.mark.parametrize("budget", [1, 5, 20])
def test_the_honest_volume_is_that_of_the_ledger_step(budget: int) -> None:
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
    volume = honest_volume(geometry, embeddings, predicted, thresholds.tolist(), 7)
    assert volume == int(0.9 * min(firsts))
    assert volume >= budget - 1


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
