import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from queen.bundle import InputRange, open_bundle
from queen.errors import FitError
from queen.fit.findings.report import make_report
from queen.fit.fitted import Fitted, OffDistribution, Shadows
from queen.fit.options import FitOptions
from queen.fit.stages.decoys import fit_decoys
from queen.fit.stages.head import fit_head
from queen.fit.stages.writing import require_free_folder, write_fitted, write_report
from queen.fit.training.shadows import ShadowPlan, train_shadows
from queen.method.meter.off_distribution import OffDistributionMeter
from tests.unit.fit.blobs import blobs
from tests.unit.fit.findings.test_summary import OUTCOME
from tests.unit.fit.fitted import answered, regions_of


def _finished(out: Path) -> Fitted:
    """A fit of three blobs with every part."""
    inputs, labels = blobs(classes=3, width=2)
    fitted = answered(inputs, labels, shadows=2, shadows_drawn=1, class_names="a,b,c", name="dots")
    fitted.options = replace(fitted.options, out=out)
    fitted.input_range = InputRange(low=[-9.0], high=[9.0], tolerance=0.0)
    fitted.head = fit_head(fitted)
    fitted.regions = regions_of(inputs, labels, fitted.responses.predicted)
    fitted.sketch_space = fit_decoys(fitted)
    meter = OffDistributionMeter(np.full(3, 2.5), 1.6, 0.13, 9.0)
    fitted.off_distribution = OffDistribution(meter, {"1000": 0.0})
    networks = train_shadows(inputs, labels, 3, ShadowPlan(count=2, steps=1))
    fitted.shadows = Shadows(networks, [2], {"flip_rate": 0.9})
    return fitted


def test_the_bundle_holds_the_parts_of_the_fit(tmp_path: Path) -> None:
    """The manifest states what the parts are, and the parts are read again as they were."""
    fitted = _finished(tmp_path / "bundle")
    manifest = write_fitted(fitted, make_report(fitted))
    bundle = open_bundle(tmp_path / "bundle")
    assert bundle.digest == manifest.digest
    assert bundle.geometry.digest == fitted.regions.geometry.digest
    np.testing.assert_array_equal(bundle.head.weight, fitted.head.weight)
    assert (manifest.model_name, manifest.feature_width, manifest.embedding_width) == ("dots", 2, 2)
    assert (manifest.input.name, manifest.input.shape) == ("x", [-1, 2])
    assert bundle.manifest.input_range == fitted.input_range
    shadows = manifest.shadows
    assert (shadows.architecture, shadows.input_shape, shadows.drawn) == ("mlp", [2], 1)
    assert manifest.decoy.confidence == fitted.sketch_space.confidence
    assert manifest.meter.limit == 9.0


def test_a_folder_in_the_way_is_refused_before_the_long_stages(tmp_path: Path) -> None:
    """A bundle without leave to replace it, and anything that is no bundle."""
    out = tmp_path / "bundle"
    options = FitOptions(Path("m.onnx"), Path("d.npz"), out)
    require_free_folder(options)
    out.mkdir()
    with pytest.raises(FitError, match="replace it with --force"):
        require_free_folder(options)
    with pytest.raises(FitError, match="is no bundle: it is not replaced"):
        require_free_folder(replace(options, replace=True))
    (out / "manifest.json").write_text("{}")
    require_free_folder(replace(options, replace=True))


def test_the_report_lies_beside_the_files_of_the_bundle(tmp_path: Path) -> None:
    """The drawing, and the figures of the budget and the clock."""
    write_report(replace(OUTCOME, path=tmp_path), b"a drawing")
    assert (tmp_path / "report" / "embedding_map.png").read_bytes() == b"a drawing"
    figures = json.loads((tmp_path / "report" / "fit.json").read_text())
    assert (figures["budget"], figures["honest_volumes"]) == (10, OUTCOME.honest_volumes)
    assert [price["profile"] for price in figures["prices"]] == ["observe", "strict"]
    assert figures["seconds"] == {"measure": 2.0}
