"""Bundles fitted for a run."""

from __future__ import annotations

import pytest
from torch import nn

from queen.bundle import open_bundle
from queen.errors import FitError
from queen.redteam.runs.bundles import STEPS, fitted_bundle
from queen.redteam.runs.experiment import Experiment


def test_a_bundle_is_fitted_once_and_leaves_no_training_data(small_experiment: Experiment) -> None:
    """Only the model and the bundle stay in the cache."""
    split, cache = small_experiment.split, small_experiment.cache
    path = fitted_bundle(
        cache, small_experiment.network, split.train_x, split.train_y, STEPS, small_experiment.seed
    )
    assert open_bundle(path).digest == small_experiment.bundle().digest
    assert not list(path.parent.glob("*.npz"))


def test_a_class_without_images_cannot_be_fitted(small_experiment: Experiment) -> None:
    """A thief whose model never says a class cannot simulate the defense."""
    split, cache = small_experiment.split, small_experiment.cache
    one_class = split.train_y == 1
    with pytest.raises(FitError):
        fitted_bundle(
            cache,
            small_experiment.network,
            split.train_x[one_class],
            split.train_y[one_class],
            STEPS,
            0,
        )


def test_a_network_without_a_linear_head_is_refused(small_experiment: Experiment) -> None:
    """The number of classes is read from it."""
    split, cache = small_experiment.split, small_experiment.cache
    network = nn.Sequential(nn.Linear(64, 10), nn.Flatten())
    with pytest.raises(TypeError, match="last module is linear"):
        fitted_bundle(cache, network, split.train_x, split.train_y, STEPS, 0)
