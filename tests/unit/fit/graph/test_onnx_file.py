from pathlib import Path

import numpy as np
import onnx
import pytest

from queen.errors import FitError
from queen.fit.graph.onnx_file import read_graph
from tests.unit.fit.graph.graphs import FEATURES, SAMPLES, answers, logits_of, opened, write_model


@pytest.mark.parametrize("content", [b"", b"hello, I am no model", b"\x00" * 64])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is not ONNX is called that."""
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(FitError, match="not an ONNX file"):
        read_graph(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A path that leads nowhere is said to."""
    with pytest.raises(FitError, match="no such file"):
        read_graph(tmp_path / "model.onnx")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """A folder in the place of the file ends in a sentence."""
    with pytest.raises(FitError, match="cannot be read"):
        read_graph(tmp_path)


def test_weights_beside_the_file_are_read(tmp_path: Path) -> None:
    """A model with external data gives a graph that needs no second file."""
    path = _with_external_data(tmp_path)
    protectee = opened(path)
    (tmp_path / "weights.bin").unlink()
    np.testing.assert_allclose(answers(protectee, SAMPLES)[1], logits_of(SAMPLES), rtol=1e-5)


def test_missing_weights_beside_the_file_are_refused(tmp_path: Path) -> None:
    """Without its second file a model is refused with the way out."""
    path = _with_external_data(tmp_path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(FitError, match="weights are in another file"):
        read_graph(path)


def test_old_operators_are_refused(tmp_path: Path) -> None:
    """Operators from before broadcasting are refused with their version."""
    path = write_model(tmp_path / "m.onnx", FEATURES + "y = MatMul(f, W)", opset=6)
    with pytest.raises(FitError, match=r"version 7 or later, got 6"):
        read_graph(path)


def _with_external_data(folder: Path) -> Path:
    path = write_model(folder / "m.onnx", FEATURES + "l = MatMul(f, W)\n y = Add(l, b)")
    onnx.save(
        onnx.load(path),
        path,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    return path
