"""A small experiment of the red team: what it trains takes seconds, and is made once a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import environ
from pathlib import Path

import pytest
import torch

from queen.fit.findings import honest_traffic, profile_prices
from queen.redteam import learner
from queen.redteam.attacks.parts import quick_copies
from queen.redteam.learner import Effort
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


@contextmanager
def quick_training() -> Iterator[pytest.MonkeyPatch]:
    """Copies of few steps, on one thread: on more, networks this small are slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(learner.EFFORTS, "digits", Effort(check=100, patience=1, most=300))
        patch.setattr(quick_copies, "STEPS", 80)
        yield patch
    torch.set_num_threads(threads)


@contextmanager
def small_experiments(factory: pytest.TempPathFactory) -> Iterator[Experiment]:
    """Digits, a protectee of few epochs and a quick fit, kept for all tests of the run."""
    with quick_training() as patch:
        patch.setitem(experiment.PROTECTEE_EPOCHS, "digits", 8)
        patch.setitem(bundles.SHADOWS, bundles.STEPS, QUICK_FIT)
        patch.setattr(profile_prices, "_THIEF_STEPS", 20)
        patch.setattr(honest_traffic, "QUERIES", 500)
        yield Experiment("digits", 0, Cache(folder_of_run(factory) / "small-experiments"))


def folder_of_run(factory: pytest.TempPathFactory) -> Path:
    """A folder that the workers of a run share; each has a folder of its own in it."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in environ else own
