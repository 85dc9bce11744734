from pathlib import Path

import numpy as np
import pytest

from queen.errors import FitError
from queen.fit.options import FitOptions
from queen.fit.stages.budget import fit_policy, require_reachable_budget
from queen.method.sensitivity import budget_thresholds, largest_budget
from tests.unit.fit.blobs import blobs
from tests.unit.fit.fitted import answered, regions_of

PATHS = (Path("m.onnx"), Path("d.npz"), Path("out"))


def test_a_budget_that_no_regions_hold_is_refused_before_the_long_stages() -> None:
    """Whatever is learned: sqs^2 is at least 1/4 in a region."""
    require_reachable_budget(FitOptions(*PATHS, budget=8000))
    with pytest.raises(FitError, match="expected a budget under 8322 records of a class"):
        require_reachable_budget(FitOptions(*PATHS, budget=8400))
    with pytest.raises(FitError, match="embedding width of 1 to 8, got 9"):
        require_reachable_budget(FitOptions(*PATHS, embedding_width=9))


def test_thresholds_are_those_of_the_stated_budget() -> None:
    """One a class; a budget above the largest of these regions is refused."""
    embeddings, labels = blobs(classes=3, width=2)
    fitted = answered(embeddings, labels, budget=20)
    fitted.regions = regions_of(embeddings, labels, fitted.responses.predicted)
    geometry, squared = fitted.regions.geometry, fitted.regions.mean_squared_sqs
    expected = budget_thresholds(geometry, squared, 20)
    np.testing.assert_array_equal(fit_policy(fitted).thresholds, expected)
    too_much = answered(embeddings, labels, budget=largest_budget(geometry, squared) + 1)
    too_much.regions = fitted.regions
    with pytest.raises(FitError, match="expected a budget of at most"):
        fit_policy(too_much)


def test_a_default_cap_is_lowered_where_the_regions_have_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An operator who states a large budget and no cap gets the largest cap that fits."""
    embeddings, labels = blobs(classes=3, width=2)
    fitted = answered(embeddings, labels, budget=20)
    fitted.regions = regions_of(embeddings, labels, fitted.responses.predicted)
    geometry, squared = fitted.regions.geometry, fitted.regions.mean_squared_sqs
    monkeypatch.setattr("queen.fit.stages.budget.CLASS_CAP", 10**6)
    caps = fit_policy(fitted).caps
    largest = largest_budget(geometry, squared) // 20
    assert caps is not None
    np.testing.assert_array_equal(caps, budget_thresholds(geometry, squared, 20 * largest))
