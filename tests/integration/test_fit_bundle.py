import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

from queen.bundle import OUTPUTS, open_bundle
from queen.cli import main
from queen.errors import FitError
from queen.fit import FitOptions, FitOutcome, fit_bundle
from queen.fit.findings import honest_traffic, profile_prices
from queen.fit.graph.session import GraphSession
from queen.method.answers.ensemble import build_shadow
from queen.method.sensitivity import center_distances
from tests.integration.exported_models import digits, export_sklearn, export_torch

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _short_findings() -> Iterator[None]:
    """Findings of fewer steps of a thief and fewer queries of an account."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profile_prices, "_THIEF_STEPS", 60)
        patch.setattr(honest_traffic, "QUERIES", 1500)
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of an owner's and its training set."""
    folder = tmp_path_factory.mktemp("home")
    images, labels = digits()
    export_sklearn(folder / "model.onnx")
    np.savez(folder / "train.npz", x=images, y=labels)
    return folder


def _options(home: Path, out: Path, **changes: object) -> FitOptions:
    plain = {
        "shadows": 3,
        "shadows_drawn": 2,
        "shadow_steps": 20,
        "mapping_epochs": 150,
        "budget": 10,
    }
    return FitOptions(home / "model.onnx", home / "train.npz", out, **(plain | changes))


@pytest.fixture(scope="module")
def outcome(home: Path) -> FitOutcome:
    """The model fitted once for all tests that only look at it."""
    return fit_bundle(_options(home, home / "bundle", name="digits"))


def test_one_run_gives_everything_the_services_need(outcome: FitOutcome) -> None:
    """The bundle's graph answers all four outputs, float32, by their names."""
    bundle = open_bundle(outcome.path)
    images = digits()[0][:7]
    session = GraphSession(bundle.protectee_path.read_bytes())
    arrays = session.run({bundle.manifest.input.name: images}, OUTPUTS)
    answers = dict(zip(OUTPUTS, arrays, strict=True))
    shapes = {name: answer.shape for name, answer in answers.items()}
    assert shapes == {
        "probabilities": (7, 10),
        "logits": (7, 10),
        "features": (7, 24),
        "embeddings": (7, 2),
    }
    assert {answer.dtype for answer in answers.values()} == {np.dtype(np.float32)}
    head = bundle.head
    np.testing.assert_allclose(
        answers["features"] @ head.weight.T + head.bias, answers["logits"], rtol=1e-4, atol=1e-4
    )
    assert (bundle.manifest.model_name, bundle.manifest.input.shape) == ("digits", [-1, 64])


def test_the_regions_are_where_the_samples_are(outcome: FitOutcome) -> None:
    """Mean distance to the class's center, over the whole set, is the mean radius."""
    bundle = open_bundle(outcome.path)
    images, labels = digits()
    session = GraphSession(bundle.protectee_path.read_bytes())
    embeddings = session.run({bundle.manifest.input.name: images}, ["embeddings"])[0]
    distances = center_distances(bundle.geometry, embeddings, labels)
    means = [distances[labels == label].mean() for label in range(10)]
    np.testing.assert_allclose(means, bundle.geometry.mean_radius, rtol=1e-3)


def test_the_shadows_come_back_as_networks(outcome: FitOutcome) -> None:
    """Every file loads into the architecture that the manifest names."""
    bundle = open_bundle(outcome.path)
    spec = bundle.manifest.shadows
    assert (spec.on, spec.architecture, spec.input_shape) == ("inputs", "mlp", [64])
    for index in range(spec.count):
        shadow = build_shadow(spec.architecture, spec.input_shape, 10)
        tensors = {name: torch.as_tensor(array) for name, array in bundle.shadow(index).items()}
        shadow.load_state_dict(tensors)


def test_the_report_is_in_the_manifest_and_beside_it(outcome: FitOutcome) -> None:
    """Measured figures are in the bundle; budget and time, which are not its own, beside it."""
    bundle = open_bundle(outcome.path)
    fit = bundle.manifest.fit
    assert fit["protectee"]["accuracy"] > 0.9
    assert fit["mapping"]["separability"]["held_out"] > 0.5
    assert fit["shadows"]["flip_rate"] > 0.9
    assert len(fit["classes"]) == 10
    assert "budget" not in fit
    beside = json.loads((outcome.path / "report" / "fit.json").read_text())
    assert beside["budget"] == 10
    assert beside["digest"] == bundle.digest
    assert len(beside["thresholds"]) == 10
    assert (outcome.path / "report" / "embedding_map.png").read_bytes()[:4] == b"\x89PNG"


def test_the_same_options_give_the_same_bundle(home: Path, outcome: FitOutcome) -> None:
    """Digest and all; another seed gives another."""
    again = fit_bundle(_options(home, home / "again", name="digits"))
    other = fit_bundle(_options(home, home / "other", name="digits", seed=1))
    assert again.manifest.digest == outcome.manifest.digest
    assert other.manifest.digest != outcome.manifest.digest


def test_shadows_on_features_are_heads(home: Path) -> None:
    """They read the protectee's features, and images of bytes pass through the same fit."""
    folder = home / "features"
    folder.mkdir()
    images, labels = digits()
    export_torch(folder / "model.onnx", dynamo=False, dtype=torch.uint8)
    np.savez(folder / "train.npz", x=images.reshape(-1, 1, 8, 8), y=labels)
    outcome = fit_bundle(_options(folder, folder / "bundle", shadows_on="features"))
    manifest = open_bundle(folder / "bundle").manifest
    assert (manifest.shadows.architecture, manifest.shadows.input_shape) == ("head", [24])
    assert (manifest.input.datatype, manifest.input.shape) == ("UINT8", [-1, 1, 8, 8])
    # An untrained protectee agrees with its labels by chance only.
    assert any("of the labels" in warning for warning in outcome.warnings)


def test_the_command_prints_its_outcome(home: Path) -> None:
    """A table, the classes and where to look; a second run needs --force."""
    arguments = ["fit", "--model", str(home / "model.onnx"), "--data", str(home / "train.npz")]
    arguments += ["--out", str(home / "by-command"), "--shadows", "2", "--shadows-drawn", "1"]
    arguments += ["--mapping-epochs", "3", "--budget", "5", "--class-names", ",".join("abcdefghij")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "embedding_map.png" in result.output
    assert open_bundle(home / "by-command").manifest.class_names == list("abcdefghij")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "--force" in result.output
    assert CliRunner().invoke(main, [*arguments, "--force"]).exit_code == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budget": 1_000_000}, "budget under"),
        ({"budget": 5_000}, "at most"),
        ({"embedding_width": 9}, "embedding width"),
        ({"features": "nowhere"}, "no such tensor"),
        ({"class_names": "a,b"}, "expected 10 class names, got 2"),
    ],
)
def test_a_refused_fit_leaves_nothing(
    home: Path, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    """No folder, whole or half."""
    with pytest.raises(FitError, match=words):
        fit_bundle(_options(home, tmp_path / "bundle", **({"mapping_epochs": 2} | changes)))
    assert list(tmp_path.iterdir()) == []


def test_only_a_bundle_is_replaced(home: Path, tmp_path: Path) -> None:
    """A folder with something else in it is never removed, not even with --force."""
    (tmp_path / "thesis.txt").write_text("ten years of work")
    with pytest.raises(FitError, match="no bundle"):
        fit_bundle(_options(home, tmp_path, replace=True))
    assert (tmp_path / "thesis.txt").exists()


def test_the_graph_is_a_valid_model(outcome: FitOutcome) -> None:
    """The ONNX checker agrees, and nothing of the exporter's machine is noted in it."""
    model = onnx.load(outcome.path / "protectee.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert not model.doc_string
    assert not any(node.metadata_props for node in model.graph.node)
