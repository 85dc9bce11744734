"""A small experiment that the tests of runs and of the leak share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from queen.redteam.runs import bundles, experiment
from queen.redteam.runs.cache import Cache
from queen.redteam.runs.experiment import Experiment

QUICK_FIT = {
    "shadows_on": "features",
    "shadows": 2,
    "shadows_drawn": 1,
    "shadow_steps": 2,
    "mapping_epochs": 5,
}


@pytest.fixture(scope="session")
def small_experiment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Experiment]:
    """Digits, a protectee of few epochs, and a bundle that is fitted in seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(experiment.PROTECTEE_EPOCHS, "digits", 8)
        patch.setitem(bundles.SHADOWS, bundles.STEPS, QUICK_FIT)
        yield Experiment("digits", 0, Cache(tmp_path_factory.mktemp("experiment")))
    torch.set_num_threads(threads)
