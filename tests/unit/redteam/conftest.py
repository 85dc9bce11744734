"""A small experiment that the tests of runs, of the leak and of the frontier share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from queen.redteam.runs.experiment import Experiment
from tests.experiments import small_experiments


@pytest.fixture(scope="module")
def small_experiment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Experiment]:
    """Digits, a protectee of few epochs, and a bundle that is fitted in seconds."""
    with small_experiments(tmp_path_factory) as experiment:
        yield experiment
