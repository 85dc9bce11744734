import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from queen.bundle import layout, open_bundle
from queen.cli.check.protectee_check import check_protectee
from queen.errors import BundleCorrupt
from tests.bundles import SmallBundle, make_bundle
from tests.unit.bundle.made import reseal


@pytest.fixture
def small(tmp_path: Path) -> SmallBundle:
    """A bundle as `queen fit` would write it."""
    return make_bundle(tmp_path / "bundle")


def test_the_graph_of_a_good_bundle_runs(small: SmallBundle) -> None:
    """It answers as the head does."""
    note = check_protectee(open_bundle(small.path))
    assert note == "runs, and its logits are those of the head"


def _graph(small: SmallBundle) -> onnx.ModelProto:
    return onnx.load(small.path / layout.PROTECTEE)


def _problem(small: SmallBundle, graph: onnx.ModelProto) -> str:
    """The problem of the bundle with another graph, whose digest agrees."""
    reseal(small.path, layout.PROTECTEE, graph.SerializeToString())
    with pytest.raises(BundleCorrupt) as raised:
        check_protectee(open_bundle(small.path))
    return str(raised.value)


def test_an_output_that_is_missing_is_found(small: SmallBundle) -> None:
    """The outputs that there are, beside those of a bundle."""
    graph = _graph(small)
    del graph.graph.output[3]
    assert "outputs probabilities, logits, features, embeddings, got" in _problem(small, graph)


def test_a_fixed_batch_axis_is_found(small: SmallBundle) -> None:
    """It would refuse every batch but those of its own size."""
    graph = _graph(small)
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    assert "its batch axis is fixed" in _problem(small, graph)


def test_an_output_of_another_width_is_found(small: SmallBundle) -> None:
    """Embeddings on one axis where the manifest states two."""
    graph = _graph(small)
    for initializer in graph.graph.initializer:
        if initializer.name == "G":
            narrow = onnx.numpy_helper.to_array(initializer)[:, :1]
            initializer.CopyFrom(onnx.numpy_helper.from_array(narrow.copy(), "G"))
    graph.graph.output[3].type.tensor_type.shape.dim[1].dim_value = 1
    expected = r"output embeddings: expected float32 (3, 2), got float32 (3, 1); refit"
    assert expected in _problem(small, graph)


def test_a_head_of_another_graph_is_found(small: SmallBundle) -> None:
    """Answers softened along it would not keep their labels."""
    head = small.model.head
    head = replace(head, bias=head.bias + 1)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        weight=head.weight,
        bias=head.bias,
        feature_centers=head.feature_centers,
        spread=np.float64(head.spread),
    )
    reseal(small.path, layout.HEAD, buffer.getvalue())
    with pytest.raises(BundleCorrupt, match=r"is not the last layer of protectee\.onnx"):
        check_protectee(open_bundle(small.path))


def test_an_input_that_is_no_number_is_found(small: SmallBundle) -> None:
    """A datatype of the protocol that no row of numbers has."""
    bundle = open_bundle(small.path)
    text = bundle.manifest.input.model_copy(update={"datatype": "BYTES"})
    manifest = bundle.manifest.model_copy(update={"input": text})
    with pytest.raises(BundleCorrupt, match="expected a numeric input, the manifest says BYTES"):
        check_protectee(replace(bundle, manifest=manifest))
