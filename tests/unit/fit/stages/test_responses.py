from pathlib import Path

import numpy as np
import pytest

from queen.errors import FitError
from queen.fit.stages.responses import collect_responses
from tests.unit.fit.graph.graphs import (
    FEATURES,
    SAMPLES,
    WEIGHTS,
    logits_of,
    opened,
    write_model,
)

PLAIN = FEATURES + "l = Gemm(f, W, b)\n"


def test_every_sample_is_answered_in_order(tmp_path: Path) -> None:
    """More samples than one run takes come back whole, and progress reaches the end."""
    protectee = opened(write_model(tmp_path / "m.onnx", PLAIN + "y = Softmax(l)"))
    samples = np.random.default_rng(0).normal(size=(1100, 4)).astype(np.float32)
    seen: list[tuple[int, int]] = []
    responses = collect_responses(protectee, samples, lambda *done: seen.append(done))
    np.testing.assert_allclose(responses.logits, logits_of(samples), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(responses.predicted, logits_of(samples).argmax(axis=1))
    assert seen[-1] == (1100, 1100)


def test_a_tensor_that_the_logits_are_not_linear_in_is_refused(tmp_path: Path) -> None:
    """The probe would fit any function; the training set shows that it is not a line."""
    body = "h = MatMul(x, H)\n f = Relu(h)\n y = Gemm(f, W, b)"
    protectee = opened(write_model(tmp_path / "m.onnx", body), features="h")
    with pytest.raises(FitError, match=r"head is not linear: expected logits = W f \+ b"):
        collect_responses(protectee, SAMPLES)


def test_a_softmax_over_another_axis_is_refused(tmp_path: Path) -> None:
    """Probabilities that sum to 1 over the batch depend on it."""
    protectee = opened(write_model(tmp_path / "m.onnx", PLAIN + "y = Softmax<axis = 0>(l)"))
    with pytest.raises(FitError, match="changes with the rest of its batch"):
        collect_responses(protectee, SAMPLES)


def test_a_softmax_over_an_axis_of_one_is_refused(tmp_path: Path) -> None:
    """Answers that are all 1 are not the softmax of the logits."""
    body = PLAIN + "u = Unsqueeze(l, axis)\n y = Softmax<axis = 1>(u)"
    weights = WEIGHTS | {"axis": np.array([1], np.int64)}
    path = write_model(tmp_path / "m.onnx", body, weights, result="float[N,1,3] y")
    with pytest.raises(FitError, match=r"probabilities = softmax\(logits\)"):
        collect_responses(opened(path), SAMPLES)


def test_answers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    """An input that overflows inside the protectee is named by its row."""
    protectee = opened(write_model(tmp_path / "m.onnx", PLAIN + "y = Softmax(l)"))
    samples = SAMPLES.copy()
    samples[9] = np.finfo(np.float32).max
    with pytest.raises(FitError, match="row 9 of x"):
        collect_responses(protectee, samples)
