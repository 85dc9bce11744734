from pathlib import Path

import numpy as np
import pytest

from queen.errors import FitError
from tests.unit.fit.graph.graphs import (
    FEATURES,
    SAMPLES,
    WEIGHT,
    WEIGHTS,
    answers,
    features_of,
    opened,
    write_model,
)


def test_a_named_features_tensor_is_probed(tmp_path: Path) -> None:
    """Two linear layers in a row, opened before the first: W and b are their product."""
    body = FEATURES + "m = Gemm(f, Q, q)\n y = Gemm(m, W, b)"
    square = np.random.default_rng(3).normal(size=(6, 6)).astype(np.float32)
    shift = np.ones(6, np.float32)
    path = write_model(tmp_path / "m.onnx", body, WEIGHTS | {"Q": square, "q": shift})
    protectee = opened(path, features="f")
    _, logits, features = answers(protectee, SAMPLES)
    np.testing.assert_allclose(protectee.weight.T, square @ WEIGHT, atol=1e-5)
    np.testing.assert_allclose(features @ protectee.weight.T + protectee.bias, logits, atol=1e-4)
    np.testing.assert_allclose(features, features_of(SAMPLES), rtol=1e-5, atol=1e-6)


def test_features_that_the_query_bypasses_are_refused(tmp_path: Path) -> None:
    """Logits that reach the query around the named tensor are not a function of it."""
    body = "h = MatMul(x, H)\n f = Relu(h)\n s = Add(f, h)\n y = Gemm(s, W, b)"
    path = write_model(tmp_path / "m.onnx", body)
    with pytest.raises(FitError, match="in another way"):
        opened(path, features="f")
