"""`queen bench leak` against real deployments, as short as it can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from queen.bench.verdict_time.bench import LeakOptions, run_leak_bench
from queen.bench.verdict_time.contestant import ASKINGS
from queen.method.contracts import Profile
from tests.bundles import make_bundle


def test_profiles_are_timed_beside_the_control(tmp_path: Path) -> None:
    """The verdicts are those that are compared, and the times of the control tell them."""
    bundle = make_bundle(tmp_path / "bundle")
    np.savez(tmp_path / "data.npz", x=bundle.inputs, y=bundle.labels)
    data, state = tmp_path / "data.npz", tmp_path / "state"
    passed: list[float] = []
    options = LeakOptions(bundle.path, data, state, 1.0, 0.02, profiles=[Profile.STRICT])
    control, strict = run_leak_bench(options, passed.append)
    assert len(passed) == 1
    assert (control["profile"], control["held"]) == ("paper", "none")
    assert (strict["profile"], strict["held"]) == ("strict", "reversed")
    assert control["askings"]["reversed"] == strict["askings"]["preserved"] == ASKINGS
    assert control["auc_one"] > 0.6
    assert "cost_ratio" not in control
    assert min(strict["cost_ratio"], strict["cost_ratio_alone"]) > 0
