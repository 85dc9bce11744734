"""A thief simulates a defense on a model of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from queen.errors import FitError
from queen.fit.findings import honest_traffic, profile_prices
from queen.redteam.datasets import Split, load_digits_split
from queen.redteam.networks import Regime, build_network, train_network
from queen.redteam.runs.cache import Cache
from queen.redteam.runs.simulation import Recipe, network_outputs, simulate
from queen.redteam.targets.in_process import seeded_secret

QUEEN = Recipe("digits", "queen", "paper", 8, "steps", 0)


@pytest.fixture(autouse=True)
def _short_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings of fewer steps of a thief and fewer queries of an account."""
    monkeypatch.setattr(profile_prices, "_THIEF_STEPS", 20)
    monkeypatch.setattr(honest_traffic, "QUERIES", 500)


@pytest.fixture(scope="module")
def split() -> Split:
    """The digits, divided."""
    return load_digits_split(0)


@pytest.fixture(scope="module")
def twin(split: Split) -> torch.nn.Module:
    """A model of the thief's own."""
    torch.manual_seed(0)
    network = build_network("digits", 0.5)
    return train_network(network, split.train_x, split.train_y, Regime(15, 0))


@pytest.mark.slow
def test_a_simulation_of_queen_fits_and_flags(tmp_path: Path, split: Split, twin):
    """The twin is defended by a bundle fitted to it: its own answers, and the reversed rows."""
    images = split.train_x
    simulation = simulate(Cache(tmp_path), QUEEN, twin, images)
    np.testing.assert_allclose(
        simulation.clean, network_outputs(twin, images).probabilities, atol=1e-5
    )
    assert 0 < simulation.is_flagged.sum() < len(images)
    # Budgets are spent along the way: the first answers are clean.
    assert not simulation.is_flagged[:20].any()
    changed = simulation.defended.argmax(axis=1) != simulation.clean.argmax(axis=1)
    assert changed[simulation.is_flagged].mean() > 0.5
    assert not changed[~simulation.is_flagged].any()
    again = simulate(Cache(tmp_path), QUEEN, twin, images)
    assert np.array_equal(simulation.defended, again.defended)


def test_a_simulation_of_a_baseline_flags_what_it_changed(tmp_path: Path, split: Split, twin):
    """Without verdicts every changed answer is flagged."""
    recipe = Recipe("digits", "rounding", None, None, "steps", 0)
    simulation = simulate(Cache(tmp_path), recipe, twin, split.pool_x)
    moved = np.abs(simulation.defended - simulation.clean).sum(axis=1) > 1e-6
    assert np.array_equal(simulation.is_flagged, moved)
    assert simulation.is_flagged.any()


def test_a_twin_that_knows_too_little_cannot_simulate(tmp_path: Path, split: Split, twin):
    """Images of one class alone fit no defense, and the error says so."""
    images = split.train_x[split.train_y == 1]
    with pytest.raises(FitError):
        simulate(Cache(tmp_path), QUEEN, twin, images)


def test_the_thief_does_not_have_the_secret():
    """The simulation is keyed by another secret than the attacked deployment."""
    assert seeded_secret("thief 0") != seeded_secret("defender 0")
