from pathlib import Path

import numpy as np
import pytest

from queen.errors import FitError
from queen.fit.graph.fuse import MappingWeights, fuse_mapping, fused_graph
from tests.unit.fit.graph.graphs import FEATURES, SAMPLES, features_of, opened, write_model

PLAIN = FEATURES + "l = Gemm(f, W, b)\n"


def test_the_mapping_network_is_in_the_graph(tmp_path: Path) -> None:
    """One run gives the embeddings that the formula gives."""
    protectee = opened(write_model(tmp_path / "m.onnx", PLAIN + "y = Softmax(l)"))
    mapping = _mapping()
    fuse_mapping(protectee, mapping)
    expected = _embed(mapping, features_of(SAMPLES))
    fused_graph(protectee, SAMPLES, expected)
    with pytest.raises(FitError, match="does not give the embeddings"):
        fused_graph(protectee, SAMPLES, expected + 1)


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
