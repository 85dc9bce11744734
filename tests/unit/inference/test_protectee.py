"""The protectee: correct, and the same bits for a row wherever it stands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from queen_inference.protectee import LARGEST_BUCKET, Array, Outputs, Protectee, row_exact_buckets

from queen.bundle import BundleDraft, open_bundle, write_bundle
from queen.errors import BundleCorrupt
from tests.bundles import SmallBundle


def test_outputs_are_those_of_the_model(small: SmallBundle, protectee: Protectee) -> None:
    """Logits, features and embeddings agree with the weights in NumPy, probabilities sum to 1."""
    outputs = protectee.run(small.inputs[:5])
    np.testing.assert_allclose(outputs.logits, small.model.logits(small.inputs[:5]), rtol=1e-4)
    np.testing.assert_allclose(
        outputs.embeddings, small.model.embeddings(small.inputs[:5]), rtol=1e-3, atol=1e-4
    )
    np.testing.assert_allclose(outputs.probabilities.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 16, 17, 50])
def test_a_row_has_the_same_bits_in_every_batch(
    small: SmallBundle, protectee: Protectee, count: int
) -> None:
    """All four outputs of a row are bit-identical alone, in any batch, at any place."""
    reference = protectee.run(small.inputs[:50])
    for start in range(0, 50 - count + 1, 3):
        got = protectee.run(small.inputs[start : start + count])
        for one, other in zip(got.arrays(), reference.arrays(), strict=True):
            assert one.tobytes() == other[start : start + count].tobytes()


def noisy(sizes: set[int]) -> object:
    """A run that gives other bits at some batch sizes."""

    def run(rows: Array) -> Outputs:
        off = np.float32(1e-7) if len(rows) in sizes else np.float32(0)
        return Outputs(*(rows.astype(np.float32) + off for _ in range(4)))

    return run


@pytest.mark.parametrize(
    ("wrong", "kept"), [(set(), (1, 2, 4, 8)), ({1}, (2, 4, 8)), ({1, 2, 4}, (8,))]
)
def test_a_bucket_that_disagrees_is_dropped(wrong: set[int], kept: tuple[int, ...]) -> None:
    """Sizes at which a row would get other bits than at the largest are not used."""
    probe = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32) * 1e-3
    assert row_exact_buckets(noisy(wrong), probe, (1, 2, 4, 8)) == kept  # type: ignore[arg-type]


def test_a_size_whose_answers_depend_on_the_place_is_no_reference() -> None:
    """If a batch's last row differs from its first, only one row at a time is left."""

    def run(rows: Array) -> Outputs:
        shifted = rows + np.arange(len(rows), dtype=np.float32)[:, None]
        return Outputs(shifted, shifted, shifted, shifted)

    assert row_exact_buckets(run, np.ones((4, 2), np.float32), (1, 2, 4)) == (1,)


def test_buckets_are_bounded(small: SmallBundle) -> None:
    """A large micro-batch is run in parts of at most the largest bucket."""
    protectee = Protectee(open_bundle(small.path), threads=1, max_batch_rows=4096)
    assert protectee.buckets[-1] <= LARGEST_BUCKET
    assert protectee.expected_seconds(1) > 0
    assert protectee.expected_seconds(600) > protectee.expected_seconds(1)


def test_a_file_that_is_no_onnx_graph_is_a_sentence(small: SmallBundle, tmp_path: Path) -> None:
    """A bundle whose graph does not load is corrupt, in words, without a native traceback."""
    bundle = open_bundle(small.path)
    draft = BundleDraft(
        bundle.manifest,
        protectee=b"not a graph",
        head=bundle.head,
        geometry=bundle.geometry,
        mean_squared_sqs=bundle.mean_squared_sqs,
        sketch_space=bundle.sketch_space,
        meter=bundle.meter,
        shadows=[bundle.shadow(number) for number in range(bundle.manifest.shadows.count)],
    )
    write_bundle(tmp_path / "b", draft)
    with pytest.raises(BundleCorrupt, match=r"protectee\.onnx.*ONNX"):
        Protectee(open_bundle(tmp_path / "b"), threads=1, max_batch_rows=4)
