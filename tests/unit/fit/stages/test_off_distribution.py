from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from queen.fit.fitted import OffDistribution
from queen.fit.stages import off_distribution
from queen.fit.stages.off_distribution import METER_VOLUME, fit_off_distribution
from queen.method.geometry import Geometry
from queen.method.meter.off_distribution import OffDistributionMeter
from queen.method.sensitivity import center_distances
from tests.unit.fit.blobs import blobs
from tests.unit.fit.fitted import answered, regions_of

Asked = dict[str, Any]


def _fit_asked(
    monkeypatch: pytest.MonkeyPatch, held_out: NDArray[np.bool_]
) -> tuple[Asked, OffDistribution]:
    """The arguments of the meter's fit, if those samples are held out; and the fit."""
    embeddings, labels = blobs(classes=3, per_class=400, width=2)
    fitted = answered(embeddings, labels, false_flags=0.01, seed=5)
    fitted.held_out = held_out
    predicted = fitted.responses.predicted
    fitted.regions = regions_of(embeddings, labels, predicted)
    meter = OffDistributionMeter(np.ones(3), 1.6, 0.13, 9.0)
    asked: Asked = {}

    def fit_meter(geometry: Geometry, distances: Any, labels: Any, **others: Any) -> Any:
        asked.update(distances=distances, labels=labels, **others)
        return meter, {10_000: 0.001, 500: 0.0}

    monkeypatch.setattr(off_distribution, "fit_meter", fit_meter)
    part = fit_off_distribution(fitted)
    asked["expected"] = center_distances(fitted.regions.geometry, embeddings, predicted)
    return asked, part


def test_the_meter_is_fitted_to_held_out_samples_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that g trained on lie nearer to their centers than any query will."""
    held_out = np.arange(1200) % 2 == 0
    asked, part = _fit_asked(monkeypatch, held_out)
    np.testing.assert_array_equal(asked["distances"], asked["expected"][held_out])
    assert len(asked["labels"]) == 600
    assert (asked["volume"], asked["false_flags"], asked["seed"]) == (METER_VOLUME, 0.01, 5)
    assert part.meter.limit == 9.0
    assert part.false_flags == {"500": 0.0, "10000": 0.001}


@pytest.mark.parametrize("count", [0, 499])
def test_too_few_held_out_samples_are_joined_by_the_others(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """A quantile of 99 % needs some hundreds."""
    asked, _part = _fit_asked(monkeypatch, np.arange(1200) < count)
    np.testing.assert_array_equal(asked["distances"], asked["expected"])
