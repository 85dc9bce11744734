from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from queen.errors import FitError
from queen.fit.fitted import Responses
from queen.fit.graph.onnx_file import read_graph
from queen.fit.graph.session import GraphSession
from queen.fit.graph.surgery import Protectee, open_protectee
from queen.fit.stages.responses import collect_responses
from tests.integration.exported_models import ENDINGS, digits, export_sklearn, export_torch

pytestmark = pytest.mark.slow


def _collect(path: Path, samples: np.ndarray) -> tuple[Protectee, Responses]:
    protectee = open_protectee(read_graph(path))
    return protectee, collect_responses(protectee, samples)


def _images(dtype: type = np.float32) -> np.ndarray:
    return digits()[0].reshape(-1, 1, 8, 8)[:40].astype(dtype)


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "legacy"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_torch_exports_are_opened(tmp_path: Path, ending: str, dynamo: bool) -> None:
    """Either exporter, whatever comes after the last layer: 24 features, the same answers."""
    path, images = export_torch(tmp_path / "m.onnx", ending, dynamo=dynamo), _images()
    protectee, responses = _collect(path, images)
    assert responses.features.shape == (40, 24)
    assert protectee.weight.shape == (10, 24)
    before = GraphSession(path.read_bytes()).run({"images": images})[0]
    answer = responses.probabilities if protectee.own_softmax else responses.logits
    np.testing.assert_array_equal(answer, before.reshape(40, 10).astype(np.float32))


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "legacy"])
def test_a_torch_export_of_fixed_batch_is_freed(tmp_path: Path, dynamo: bool) -> None:
    """An export that forgot the dynamic axis answers a batch of 40 as it did one of 2."""
    path = export_torch(tmp_path / "m.onnx", dynamo=dynamo, free=False)
    images = _images()
    protectee, responses = _collect(path, images)
    assert protectee.fixed_batch == 2
    # The file with the weights that may lie beside it.
    session = GraphSession(onnx.load(path).SerializeToString())
    before = session.run({session.inputs[0]: images[:2]})[0]
    np.testing.assert_allclose(responses.probabilities[:2], before, rtol=1e-5, atol=1e-7)


def test_a_torch_export_of_bytes_keeps_them(tmp_path: Path) -> None:
    """An image classifier that takes uint8 goes on taking uint8."""
    path = export_torch(tmp_path / "m.onnx", dynamo=False, dtype=torch.uint8)
    protectee, responses = _collect(path, _images(np.uint8))
    assert protectee.input.datatype == "UINT8"
    assert responses.probabilities.dtype == np.float32


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("wide", [True, False], ids=["float64", "float32"])
def test_sklearn_exports_are_opened(tmp_path: Path, zipmap: bool, wide: bool) -> None:
    """With dictionaries or arrays, in float64 or float32: the array of probabilities it had."""
    images, labels = digits()
    images = images.astype(np.float64 if wide else np.float32)
    path = export_sklearn(tmp_path / "m.onnx", zipmap=zipmap, wide=wide)
    protectee, responses = _collect(path, images)
    assert protectee.own_softmax
    assert responses.features.shape == (600, 24)
    assert (responses.predicted == labels).mean() > 0.9
    if zipmap and wide:
        return  # ONNX Runtime has no dictionaries of float64: the owner could not run this one
    before = GraphSession(path.read_bytes()).run({"X": images})[1]
    table = [[row[label] for label in range(10)] for row in before] if zipmap else before
    np.testing.assert_allclose(responses.probabilities, np.asarray(table), rtol=1e-6, atol=1e-12)


def test_a_binary_sklearn_classifier_is_refused(tmp_path: Path) -> None:
    """One logistic column has no two logits, and the sentence says so."""
    path = export_sklearn(tmp_path / "m.onnx", zipmap=False, classes=2)
    with pytest.raises(FitError, match="one logistic column is not supported"):
        open_protectee(read_graph(path))
