from pathlib import Path

import numpy as np
import pytest

from queen.errors import FitError
from tests.unit.fit.graph.graphs import (
    BIAS,
    FEATURES,
    SAMPLES,
    WEIGHT,
    WEIGHTS,
    answers,
    features_of,
    logits_of,
    opened,
    softmax_of,
    write_model,
)

PLAIN = "l = Gemm(f, W, b)\n"


@pytest.mark.parametrize(
    ("body", "scale", "shift"),
    [
        ("y = Gemm(f, W, b)", 1, 0),
        ("y = Gemm<transB = 1>(f, Wt, b)", 1, 0),
        ("y = Gemm<alpha = 2.0, beta = 0.5>(f, W, b2)", 2, 0),
        ("y = Gemm<alpha = 1.0, beta = 2.0>(f, W, half)", 1, 0),
        ("l = MatMul(f, W)\n y = Add(l, b)", 1, 0),
        ("l = MatMul(f, W)\n y = Add(b, l)", 1, 0),
        ("l = MatMul(f, W)\n y = Sub(l, minus)", 1, 0),
        ("l = MatMul(f, minusW)\n y = Sub(b, l)", 1, 0),
        (PLAIN + "y = Mul(l, two)", 2, 0),
        (PLAIN + "y = Div(l, two)", 0.5, 0),
        (PLAIN + "m = Mul(two, l)\n y = Add(m, two)", 2, 2),
        ("w = Identity(W)\n y = Gemm(f, w, b)", 1, 0),
        ("w = Transpose<perm = [1, 0]>(Wt)\n y = Gemm(f, w, b)", 1, 0),
        ("w = Cast<to = 1>(W64)\n l = MatMul(f, w)\n y = Add(l, b)", 1, 0),
        ("g = Transpose<perm = [1, 0]>(f)\n y = Gemm<transA = 1>(g, W, b)", 1, 0),
        ("g = Dropout(f)\n y = Gemm(g, W, b)", 1, 0),
        (PLAIN + "i = Identity(l)\n y = Cast<to = 1>(i)", 1, 0),
        (PLAIN + "r = Reshape(l, shape)\n y = Flatten<axis = 1>(r)", 1, 0),
        (PLAIN + "u = Unsqueeze(l, two_axis)\n y = Squeeze(u, two_axis)", 1, 0),
    ],
)
def test_the_head_is_read_in_every_writing(
    tmp_path: Path, body: str, scale: float, shift: float
) -> None:
    """Whatever way an exporter writes the last layer, logits = W f + b with the W and b read."""
    weights = WEIGHTS | {
        "Wt": np.ascontiguousarray(WEIGHT.T),
        "W64": WEIGHT.astype(np.float64),
        "minusW": -WEIGHT,
        "minus": -BIAS,
        "b2": 4 * BIAS,
        "half": BIAS / 2,
        "two": np.array(2, np.float32),
        "shape": np.array([-1, 1, 3], np.int64),
        "two_axis": np.array([2], np.int64),
    }
    protectee = opened(write_model(tmp_path / "m.onnx", FEATURES + body, weights))
    probabilities, logits, features = answers(protectee, SAMPLES)
    np.testing.assert_allclose(features, features_of(SAMPLES), rtol=1e-5, atol=1e-6)
    expected = scale * logits_of(SAMPLES) + shift
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(features @ protectee.weight.T + protectee.bias, logits, atol=1e-5)
    np.testing.assert_allclose(probabilities, softmax_of(logits), atol=1e-6)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (PLAIN + "y = Tanh(l)", "head is not linear.*reached Tanh"),
        (PLAIN + "y = Mul(l, l)", "head is not linear.*depend on the query"),
        (PLAIN + "y = Div(two, l)", "divides by its result"),
        (PLAIN + "y = Sigmoid(l)", "Sigmoid"),
        ("l = Gemm(f, W, b)\n s = Sigmoid(l)\n y = Softmax(s)", "Sigmoid"),
        ("y = Gemm(f, W, moving)\n moving = ReduceMean<axes = [1]>(x)", "bias.*depends"),
        ("l = MatMul(x, H)\n y = Relu(l)", "reached Relu"),
        ("y = Softmax(x)", "graph's input 'x' is reached first"),
    ],
)
def test_another_head_is_refused(tmp_path: Path, body: str, words: str) -> None:
    """A head that is not linear is refused with the node that was reached."""
    if "moving" in body:
        first, second = body.split("\n")
        body = f"{second}\n{first}"
    weights = WEIGHTS | {"two": np.array(2, np.float32)}
    path = write_model(tmp_path / "m.onnx", FEATURES + body, weights)
    with pytest.raises(FitError, match=words):
        opened(path)
