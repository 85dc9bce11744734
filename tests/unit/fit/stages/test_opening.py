from pathlib import Path
from typing import Any

import numpy as np
import pytest

from queen.errors import FitError
from queen.fit.options import FitOptions
from queen.fit.stages.opening import open_inputs
from tests.unit.fit.graph.graphs import FEATURES, SAMPLES, write_model

LABELS = np.arange(16) % 3


def _options(folder: Path, x: np.ndarray, y: np.ndarray, **options: Any) -> FitOptions:
    model = write_model(folder / "m.onnx", FEATURES + "y = Gemm(f, W, b)")
    np.savez(folder / "train.npz", x=x, y=y)
    return FitOptions(model, folder / "train.npz", folder / "bundle", **options)


def test_the_inputs_are_opened(tmp_path: Path) -> None:
    """The head of the model, the samples as they are, and the names that were given."""
    fitted = open_inputs(_options(tmp_path, SAMPLES, LABELS, class_names="a,b,c"))
    assert fitted.protectee.weight.shape == (3, 6)
    np.testing.assert_array_equal(fitted.samples.x, SAMPLES)
    assert fitted.class_names == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (SAMPLES[:, :3], LABELS, "x does not fit the graph's input 'x'"),
        (SAMPLES, LABELS + 1, r"labels in 0\.\.2, as the head has 3 outputs, got 1\.\.3"),
    ],
)
def test_inputs_that_do_not_match_are_refused(
    tmp_path: Path, x: np.ndarray, y: np.ndarray, words: str
) -> None:
    """Samples of another shape, and labels that the head does not have."""
    with pytest.raises(FitError, match=words):
        open_inputs(_options(tmp_path, x, y))
