from pathlib import Path
from typing import Any

import numpy as np
import pytest

from queen.bundle import open_bundle
from queen.fit import FitOptions, FitOutcome, fit_bundle, fitting
from queen.fit.fitted import OffDistribution
from queen.method.honest.traffic import Kind
from queen.method.meter.off_distribution import OffDistributionMeter
from tests.unit.fit.graph.graphs import FEATURES, write_model

SAMPLES = 640


@pytest.fixture(name="outcome")
def fitted_without_the_long_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FitOutcome:
    """A fit of three classes whose meter, prices, volume and drawing are given."""
    write_model(
        tmp_path / "model.onnx", FEATURES + "m = MatMul(f, W)\n l = Add(m, b)\n y = Softmax(l)"
    )
    samples = np.random.default_rng(0).normal(size=(SAMPLES, 4)).astype(np.float32)
    np.savez(tmp_path / "train.npz", x=samples, y=np.arange(SAMPLES) % 3)
    part = OffDistribution(OffDistributionMeter(np.ones(3), 1.6, 0.13, 9.0), {"10000": 0.001})
    monkeypatch.setattr(fitting, "fit_off_distribution", lambda _fitted: part)
    monkeypatch.setattr(fitting, "price_profiles", lambda *_: [])
    monkeypatch.setattr(fitting, "honest_volumes", lambda *_: {Kind.EVEN: 123})
    monkeypatch.setattr(fitting, "draw_embedding_map", lambda *_: b"a drawing")
    options: dict[str, Any] = {"shadows": 2, "shadows_drawn": 1, "shadows_on": "features"}
    paths = (tmp_path / "model.onnx", tmp_path / "train.npz", tmp_path / "bundle")
    return fit_bundle(FitOptions(*paths, budget=5, mapping_epochs=1, shadow_steps=3, **options))


def test_decoy_and_meter_are_in_the_bundle_as_they_were_fitted(outcome: FitOutcome) -> None:
    """A service reads what the fit found; the sketches are those of the training inputs."""
    bundle = open_bundle(outcome.path)
    space, spec = bundle.sketch_space, bundle.manifest.decoy
    assert (spec.sketch_width, spec.rank) == (4, 4) == space.axes.shape
    with np.load(outcome.path.parent / "train.npz") as archive:
        np.testing.assert_allclose(space.mean, archive["x"].mean(axis=0), atol=1e-6)
    assert 1 / 3 < spec.confidence < 1
    assert bundle.meter.limit == 9.0
    assert bundle.manifest.meter.false_flags == {"10000": 0.001}
    assert bundle.manifest.fit["off_distribution"]["false_flags"] == {"10000": 0.001}


def test_every_stage_has_its_time(outcome: FitOutcome) -> None:
    """In the order in which they ran."""
    assert list(outcome.seconds) == [
        "open the protectee",
        "run it over the training set",
        "train the mapping network",
        "fit the decoys and the off-distribution meter",
        "train the shadows",
        "measure",
        "price the profiles",
    ]
    assert outcome.honest_volumes == {"even": 123}
    assert (outcome.path / "report" / "embedding_map.png").read_bytes() == b"a drawing"
