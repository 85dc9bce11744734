"""The bundle and the experiment that the benches run on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from queen.redteam.runs.experiment import Experiment
from tests.bundles import SmallBundle, make_bundle
from tests.experiments import small_experiments


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle with its samples as train.npz and test.npz beside it."""
    folder = Path(tmp_path_factory.mktemp("bench"))
    bundle = make_bundle(folder / "bundle", samples=2400)
    np.savez(folder / "train.npz", x=bundle.inputs[:1200])
    np.savez(folder / "test.npz", x=bundle.inputs[1200:])
    return bundle


@pytest.fixture(scope="module")
def small_experiment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Experiment]:
    """Digits, a protectee of few epochs, and a bundle that is fitted in seconds."""
    with small_experiments(tmp_path_factory) as experiment:
        yield experiment
