from pathlib import Path

import numpy as np
import onnx
import pytest

from queen.errors import FitError
from queen.fit.graph.session import GraphSession
from tests.unit.fit.graph.graphs import (
    BIAS,
    FEATURES,
    HIDDEN,
    SAMPLES,
    WEIGHT,
    WEIGHTS,
    Array,
    answers,
    features_of,
    logits_of,
    opened,
    softmax_of,
    write_model,
)

PLAIN = "l = Gemm(f, W, b)\n"


def test_the_graphs_own_softmax_is_the_answer_bit_for_bit(tmp_path: Path) -> None:
    """What the protectee answers today is what the opened graph answers."""
    path = write_model(tmp_path / "m.onnx", FEATURES + PLAIN + "y = Softmax<axis = 1>(l)")
    protectee = opened(path)
    before = GraphSession(path.read_bytes()).run({"x": SAMPLES})[0]
    np.testing.assert_array_equal(answers(protectee, SAMPLES)[0], before)
    assert protectee.own_softmax


def test_log_probabilities_lead_to_the_logits(tmp_path: Path) -> None:
    """A graph that ends in LogSoftmax gets a softmax of its own."""
    path = write_model(tmp_path / "m.onnx", FEATURES + PLAIN + "y = LogSoftmax<axis = 1>(l)")
    probabilities, logits, _ = answers(opened(path), SAMPLES)
    np.testing.assert_allclose(logits, logits_of(SAMPLES), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(probabilities, softmax_of(logits), atol=1e-6)


def test_names_of_the_outputs_may_be_taken_inside(tmp_path: Path) -> None:
    """A graph whose own tensors are called logits, features and probabilities is no problem."""
    body = """h = MatMul(x, H)
    logits = Relu(h)
    features = Gemm(logits, W, b)
    probabilities = Softmax<axis = 1>(features)
    y = Identity(probabilities)"""
    protectee = opened(write_model(tmp_path / "m.onnx", body))
    _, logits, features = answers(protectee, SAMPLES)
    np.testing.assert_allclose(logits, logits_of(SAMPLES), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(features, features_of(SAMPLES), rtol=1e-5, atol=1e-5)


def test_nodes_that_no_output_needs_are_left_out(tmp_path: Path) -> None:
    """Labels, their arg max and unused weights do not stay in the bundle's graph."""
    body = FEATURES + PLAIN + "y = Softmax<axis = 1>(l)\n label = ArgMax<axis = 1>(y)"
    path = write_model(
        tmp_path / "m.onnx",
        body,
        WEIGHTS | {"unused": np.zeros(5, np.float32)},
        result="int64[N,1] label, float[N,3] y",
    )
    model = onnx.load_from_string(opened(path).graph_bytes())
    assert "ArgMax" not in {node.op_type for node in model.graph.node}
    assert "unused" not in {tensor.name for tensor in model.graph.initializer}
    assert [output.name for output in model.graph.output] == ["probabilities", "logits", "features"]
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize(
    ("kind", "dtype", "datatype"),
    [
        ("uint8", np.uint8, "UINT8"),
        ("int64", np.int64, "INT64"),
        ("double", np.float64, "FP64"),
        ("float16", np.float16, "FP16"),
    ],
)
def test_the_input_keeps_its_type(tmp_path: Path, kind: str, dtype: type, datatype: str) -> None:
    """Whatever numbers the graph declares, it takes; the outputs are float32."""
    body = "c = Cast<to = 1>(x)\n" + FEATURES.replace("(x, H)", "(c, H)") + PLAIN + "y = Softmax(l)"
    path = write_model(tmp_path / "m.onnx", body, source=f"{kind}[N,4] x")
    protectee = opened(path)
    assert (protectee.input.dtype, protectee.input.datatype) == (np.dtype(dtype), datatype)
    samples = np.arange(8).reshape(2, 4).astype(dtype)
    arrays = answers(protectee, samples)
    assert [array.dtype for array in arrays] == [np.float32] * 3
    np.testing.assert_allclose(arrays[1], logits_of(samples.astype(np.float32)), rtol=1e-5)


@pytest.mark.parametrize(("kind", "dtype"), [("float16", np.float16), ("double", np.float64)])
def test_a_graph_that_computes_in_another_precision_answers_in_float32(
    tmp_path: Path, kind: str, dtype: type
) -> None:
    """Features, logits and probabilities are cast, and the head keeps its numbers."""
    weights = {name: array.astype(dtype) for name, array in WEIGHTS.items()}
    path = write_model(
        tmp_path / "m.onnx",
        FEATURES + PLAIN + "y = Softmax<axis = 1>(l)",
        weights,
        source=f"{kind}[N,4] x",
        result=f"{kind}[N,3] y",
    )
    protectee = opened(path)
    arrays = answers(protectee, SAMPLES.astype(dtype))
    assert [array.dtype for array in arrays] == [np.float32] * 3
    np.testing.assert_array_equal(protectee.weight, WEIGHT.T.astype(dtype).astype(np.float64))
    np.testing.assert_allclose(arrays[1], logits_of(SAMPLES), atol=2e-2)


def test_features_of_more_axes_are_laid_flat(tmp_path: Path) -> None:
    """(B, 1, D) features and (B, 1, C) logits become rows."""
    body = FEATURES + "u = Unsqueeze(f, axis)\n l = MatMul(u, W)\n y = Softmax<axis = 2>(l)"
    weights = WEIGHTS | {"axis": np.array([1], np.int64)}
    path = write_model(tmp_path / "m.onnx", body, weights, result="float[N,1,3] y")
    probabilities, logits, features = answers(opened(path), SAMPLES)
    assert (probabilities.shape, logits.shape, features.shape) == ((16, 3), (16, 3), (16, 6))
    np.testing.assert_allclose(logits, logits_of(SAMPLES) - BIAS, rtol=1e-4, atol=1e-5)


def test_the_tensor_that_auto_finds_may_be_named(tmp_path: Path) -> None:
    """Naming the head's own input changes nothing: the weights are still read, not probed."""
    path = write_model(tmp_path / "m.onnx", FEATURES + PLAIN + "y = Softmax(l)")
    np.testing.assert_array_equal(opened(path, features="f").weight, opened(path).weight)


def test_a_named_output_decides_between_two_heads(tmp_path: Path) -> None:
    """Two heads are ambiguous until --output names one."""
    body = "h = MatMul(x, H)\n f = Relu(h)\n g = Tanh(h)\n y = Gemm(f, W, b)\n z = Gemm(g, W, b)"
    path = write_model(tmp_path / "m.onnx", body, result="float[N,3] y, float[N,3] z")
    with pytest.raises(FitError, match="choose one of y, z with --output"):
        opened(path)
    expected = np.tanh(SAMPLES @ HIDDEN)
    np.testing.assert_allclose(answers(opened(path, "z"), SAMPLES)[2], expected, atol=1e-5)


def test_the_shape_may_be_open_but_for_the_batch(tmp_path: Path) -> None:
    """Extents that the graph leaves open are None until the training set fixes them."""
    body = "p = GlobalAveragePool(x)\n f = Flatten(p)\n y = MatMul(f, W)"
    path = write_model(
        tmp_path / "m.onnx", body, {"W": WEIGHT[:4]}, source="float[N,4,height,width] x"
    )
    assert opened(path).input.shape == (4, None, None)


Refusal = tuple[str, dict[str, Array], dict[str, str], str]
REFUSED: list[Refusal] = [
    ("y = Gemm(f, W, b)", {}, {"source": "float[N,4] x, float[N] t"}, "1 input, got 2: x, t"),
    ("y = Gemm(f, Wone, c)", {"Wone": WEIGHT[:, :1], "c": BIAS[:1]}, {}, "at least 2 classes"),
    ("y = Gemm(f, Wbad, b)", {"Wbad": WEIGHT * np.nan}, {}, "not finite"),
    ("l = Gemm(f, W, b)\n y = ArgMax(l)", {}, {"result": "int64[1,3] y"}, "no float output"),
]


@pytest.mark.parametrize(("body", "more", "signature", "words"), REFUSED)
def test_a_model_that_cannot_be_defended_is_refused(
    tmp_path: Path, body: str, more: dict[str, Array], signature: dict[str, str], words: str
) -> None:
    """Two inputs, one class, broken weights and no answer at all: each says what was arrays."""
    path = write_model(tmp_path / "m.onnx", FEATURES + body, WEIGHTS | more, **signature)
    with pytest.raises(FitError, match=words):
        opened(path)


def test_an_input_named_as_an_output_is_refused(tmp_path: Path) -> None:
    """The wire could not tell the two apart."""
    path = write_model(tmp_path / "m.onnx", "y = MatMul(features, W)", source="float[N,6] features")
    with pytest.raises(FitError, match="another input name"):
        opened(path)


@pytest.mark.parametrize(("output", "features"), [("nowhere", "auto"), (None, "nowhere")])
def test_an_unknown_tensor_is_refused(tmp_path: Path, output: str | None, features: str) -> None:
    """A name that the graph does not have is refused with names that it has."""
    path = write_model(tmp_path / "m.onnx", FEATURES + PLAIN + "y = Softmax(l)")
    with pytest.raises(FitError, match=r"no such tensor; its last ones are h, f, l, y"):
        opened(path, output, features)
