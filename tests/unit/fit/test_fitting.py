from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from queen.bundle import open_bundle
from queen.fit import FitOptions, FitOutcome, fit_bundle, fitting, stages
from queen.fit.findings.strays import FittedMeter
from queen.method.off_distribution import OffDistributionMeter
from tests.unit.fit.graph.graphs import FEATURES, write_model

SAMPLES = 80 * 64


@dataclass
class _Trial:
    """A fit whose flip rates are given, without the steps that take long."""

    folder: Path
    rates: dict[int, float]
    """Flip rate by the most steps that still give it."""
    tried: list[int] = field(default_factory=list)
    rates_of_learning: set[float] = field(default_factory=set)

    def measure_shadows(self, plan: Any, *_others: Any) -> dict[str, Any]:
        """What would be measured of shadows that were trained so far."""
        steps = plan.planned_steps(SAMPLES)
        self.tried.append(steps)
        self.rates_of_learning.add(plan.rate)
        most = min(most for most in self.rates if steps <= most)
        return {"steps": steps, "flip_rate": self.rates[most], "accuracy": 0.5}

    def fit(self, **options: Any) -> FitOutcome:
        """The bundle that these options give."""
        return fit_bundle(
            FitOptions(
                *(self.folder / "model.onnx", self.folder / "train.npz", self.folder / "bundle"),
                **{"shadows": 2, "shadows_drawn": 1, "shadows_on": "features", "budget": 5}
                | {"mapping_epochs": 1}
                | options,
            )
        )


@pytest.fixture(name="trial")
def prepared_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Trial:
    """Shadows that flip half of the labels after more than 20 steps, and 95 % up to there."""
    write_model(
        tmp_path / "model.onnx", FEATURES + "m = MatMul(f, W)\n l = Add(m, b)\n y = Softmax(l)"
    )
    samples = np.random.default_rng(0).normal(size=(SAMPLES, 4)).astype(np.float32)
    np.savez(tmp_path / "train.npz", x=samples, y=np.arange(SAMPLES) % 3)
    trial = _Trial(tmp_path, {20: 0.95, 10**6: 0.5})
    meter = FittedMeter(OffDistributionMeter(np.ones(3), 1.6, 0.13, 9.0), {"10000": 0.001})
    monkeypatch.setattr(stages, "measure_shadows", trial.measure_shadows)
    monkeypatch.setattr(stages, "fit_off_distribution", lambda *_a, **_b: meter)
    monkeypatch.setattr(fitting, "price_profiles", lambda *_: [])
    monkeypatch.setattr(fitting, "honest_volume", lambda *_: 123)
    monkeypatch.setattr(fitting, "draw_embedding_map", lambda *_: b"a drawing")
    return trial


@pytest.mark.parametrize(
    ("options", "tried"),
    [
        ({}, [80, 40, 20]),
        ({"shadow_flip_rate": 0.4}, [80]),
        ({"shadow_flip_rate": 0.99}, [80, 40, 20, 10]),
        ({"shadow_steps": 33}, [33]),
        ({"shadow_epochs": 2}, [160]),
        ({"shadow_epochs": 2, "shadow_steps": 33}, [33]),
    ],
)
def test_shadows_are_as_strong_as_the_flip_rate_allows(
    trial: _Trial, options: dict[str, Any], tried: list[int]
) -> None:
    """From one epoch on, half as long until enough labels flip or 10 steps are left."""
    outcome = trial.fit(**options)
    assert trial.tried == tried
    assert outcome.manifest.fit["shadows"]["steps"] == tried[-1]


def test_every_try_learns_at_the_stated_rate(trial: _Trial) -> None:
    """The learning rate of the options is that of every shadow that is trained."""
    trial.fit(shadow_rate=0.25)
    assert trial.rates_of_learning == {0.25}


def test_decoy_and_meter_are_in_the_bundle_as_they_were_fitted(trial: _Trial) -> None:
    """A service reads what the fit found; the sketches are those of the training inputs."""
    bundle = open_bundle(trial.fit().path)
    space, spec = bundle.sketch_space, bundle.manifest.decoy
    assert (spec.sketch_width, spec.rank) == (4, 4) == space.axes.shape
    with np.load(trial.folder / "train.npz") as archive:
        np.testing.assert_allclose(space.mean, archive["x"].mean(axis=0), atol=1e-6)
    assert 1 / 3 < spec.confidence < 1
    assert bundle.meter.limit == 9.0
    assert bundle.manifest.meter.false_flags == {"10000": 0.001}
    assert bundle.manifest.fit["off_distribution"]["false_flags"] == {"10000": 0.001}
