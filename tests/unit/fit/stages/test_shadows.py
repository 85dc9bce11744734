from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from queen.fit.fitted import Fitted, Shadows
from queen.fit.progress import ignore_progress
from queen.fit.stages import shadows
from queen.fit.stages.shadows import fit_shadows
from queen.fit.training.shadows import ShadowPlan
from queen.method.answers.ensemble import ShadowNetwork
from tests.unit.fit.fitted import answered

SAMPLES = 80 * 64


@dataclass
class _Trial:
    """Shadows whose flip rates are given."""

    rates: dict[int, float]
    """Flip rate by the most steps that still give it."""
    tried: list[int] = field(default_factory=list)
    rates_of_learning: set[float] = field(default_factory=set)

    def measure_shadows(
        self, _fitted: Fitted, plan: ShadowPlan, _networks: Sequence[ShadowNetwork]
    ) -> dict[str, Any]:
        """The figures of shadows that were trained so far."""
        steps = plan.planned_steps(SAMPLES)
        self.tried.append(steps)
        self.rates_of_learning.add(plan.rate)
        most = min(most for most in self.rates if steps <= most)
        return {"steps": steps, "flip_rate": self.rates[most], "accuracy": 0.5}

    def fit(self, **options: Any) -> Shadows:
        """The shadows that these options give."""
        plain = {"shadows": 2, "shadows_drawn": 1, "shadows_on": "features"}
        inputs = np.random.default_rng(0).normal(size=(SAMPLES, 4)).astype(np.float32)
        fitted = answered(inputs, np.arange(SAMPLES) % 3, **plain | options)
        return fit_shadows(fitted, ignore_progress)


@pytest.fixture(name="trial")
def prepared_trial(monkeypatch: pytest.MonkeyPatch) -> _Trial:
    """Shadows that flip half of the labels after more than 20 steps, and 95 % up to there."""
    trial = _Trial({20: 0.95, 10**6: 0.5})
    monkeypatch.setattr(shadows, "measure_shadows", trial.measure_shadows)
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
    fitted_shadows = trial.fit(**options)
    assert trial.tried == tried
    assert fitted_shadows.figures["steps"] == tried[-1]
    assert (len(fitted_shadows.networks), fitted_shadows.input_shape) == (2, [4])


def test_every_try_learns_at_the_stated_rate(trial: _Trial) -> None:
    """The learning rate of the options is that of every shadow that is trained."""
    trial.fit(shadow_rate=0.25)
    assert trial.rates_of_learning == {0.25}
