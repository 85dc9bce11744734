from pathlib import Path

import numpy as np
import pytest

from queen.errors import FitError
from queen.fit.stages.responses import collect_responses
from tests.unit.fit.graph.graphs import (
    FEATURES,
    SAMPLES,
    WEIGHTS,
    answers,
    logits_of,
    opened,
    write_model,
)


@pytest.mark.parametrize("shape", [[2, -1], [2, 6]])
def test_a_fixed_batch_is_freed(tmp_path: Path, shape: list[int]) -> None:
    """A batch extent that the exporter wrote into input and Reshape is made dynamic."""
    body = FEATURES + "r = Reshape(f, s)\n y = Gemm(r, W, b)"
    weights = WEIGHTS | {"s": np.array(shape, np.int64)}
    path = write_model(
        tmp_path / "m.onnx", body, weights, source="float[2,4] x", result="float[2,3] y"
    )
    protectee = opened(path)
    assert protectee.fixed_batch == 2
    np.testing.assert_allclose(answers(protectee, SAMPLES)[1], logits_of(SAMPLES), rtol=1e-4)


def test_a_batch_that_stays_fixed_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """The sentence says how to export again, by the input's own name."""
    body = "e = Expand(x, wide)\n h = MatMul(e, H)\n f = Relu(h)\n y = Gemm(f, W, b)"
    weights = WEIGHTS | {"wide": np.array([2, 4], np.int64)}
    path = write_model(
        tmp_path / "m.onnx", body, weights, source="float[2,4] x", result="float[2,3] y"
    )
    with pytest.raises(FitError, match=r"batch axis of 2 fixed.*dynamic_axes=\{'x'"):
        collect_responses(opened(path), SAMPLES)


def test_rows_that_lean_on_their_neighbors_are_refused(tmp_path: Path) -> None:
    """A normalization over the batch means that the model was left in training mode."""
    body = """m = ReduceMean<axes = [0]>(x)
    c = Sub(x, m)
    h = MatMul(c, H)
    f = Relu(h)
    y = Gemm(f, W, b)"""
    path = write_model(tmp_path / "m.onnx", body, opset=13)
    with pytest.raises(FitError, match="evaluation mode"):
        collect_responses(opened(path), SAMPLES)
