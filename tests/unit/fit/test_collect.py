from pathlib import Path

import numpy as np
import pytest

from queen.errors import FitError
from queen.fit.collect import collect_responses, require_embeddings
from queen.fit.graph.fuse import MappingWeights, fuse_mapping
from tests.unit.fit.graph.graphs import (
    FEATURES,
    SAMPLES,
    WEIGHTS,
    features_of,
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


def test_a_batch_that_stays_fixed_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """The sentence says how to export again, by the input's own name."""
    body = "e = Expand(x, wide)\n h = MatMul(e, H)\n f = Relu(h)\n y = Gemm(f, W, b)"
    weights = WEIGHTS | {"wide": np.array([2, 4], np.int64)}
    path = write_model(
        tmp_path / "m.onnx", body, weights, source="float[2,4] x", result="float[2,3] y"
    )
    with pytest.raises(FitError, match=r"batch axis of 2 fixed.*dynamic_axes=\{'x'"):
        collect_responses(opened(path), SAMPLES)


def test_rows_that_lean_on_their_neighbours_are_refused(tmp_path: Path) -> None:
    """A normalisation over the batch means that the model was left in training mode."""
    body = """m = ReduceMean<axes = [0]>(x)
    c = Sub(x, m)
    h = MatMul(c, H)
    f = Relu(h)
    y = Gemm(f, W, b)"""
    path = write_model(tmp_path / "m.onnx", body, opset=13)
    with pytest.raises(FitError, match="evaluation mode"):
        collect_responses(opened(path), SAMPLES)


def test_answers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    """An input that overflows inside the protectee is named by its row."""
    protectee = opened(write_model(tmp_path / "m.onnx", PLAIN + "y = Softmax(l)"))
    samples = SAMPLES.copy()
    samples[9] = np.finfo(np.float32).max
    with pytest.raises(FitError, match="row 9 of x"):
        collect_responses(protectee, samples)


def test_the_mapping_network_is_in_the_graph(tmp_path: Path) -> None:
    """One run gives the embeddings that the formula gives."""
    protectee = opened(write_model(tmp_path / "m.onnx", PLAIN + "y = Softmax(l)"))
    mapping = _mapping()
    fuse_mapping(protectee, mapping)
    expected = _embed(mapping, features_of(SAMPLES))
    require_embeddings(protectee, SAMPLES, expected)
    with pytest.raises(FitError, match="does not give the embeddings"):
        require_embeddings(protectee, SAMPLES, expected + 1)


def _mapping() -> MappingWeights:
    rng = np.random.default_rng(1)

    def array(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    layers = [(array(5, 6), array(5)), (array(2, 5), array(2))]
    return MappingWeights(array(6), np.abs(array(6)) + 0.5, layers)


def _embed(mapping: MappingWeights, features: np.ndarray) -> np.ndarray:
    (first, shift), (last, offset) = mapping.layers
    hidden = (features - mapping.mean) / mapping.scale @ first.T + shift
    return np.where(hidden > 0, hidden, 0.1 * hidden) @ last.T + offset
