"""Samples as the protectee of a bench sees them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from queen.bench.samples import open_protectee, read_labeled, read_samples, see_samples
from queen.bundle import open_bundle
from queen.errors import ConfigError
from tests.bundles import SmallBundle


def test_samples_have_the_embeddings_and_labels_of_the_protectee(small: SmallBundle) -> None:
    """A file's x comes back, and with it what the front door would see of it."""
    samples = read_samples(small.path.parent / "test.npz")
    assert np.array_equal(samples, small.inputs[1200:])
    embeddings, labels = see_samples(open_protectee(open_bundle(small.path)), samples)
    np.testing.assert_allclose(embeddings, small.model.embeddings(samples), rtol=1e-4, atol=1e-5)
    assert np.array_equal(labels, small.labels[1200:])


@pytest.mark.parametrize("content", [{"z": np.zeros(3)}, {"x": np.array([{}], object)}])
def test_a_file_without_samples_is_refused(tmp_path: Path, content: dict[str, np.ndarray]) -> None:
    """The message says what was expected of which file."""
    np.savez(tmp_path / "empty.npz", **content)
    with pytest.raises(ConfigError, match=r"empty\.npz: expected an npz file with samples x"):
        read_samples(tmp_path / "empty.npz")


def test_labels_are_read_if_there_are_any(tmp_path: Path) -> None:
    """One a sample; a file without them has none."""
    np.savez(tmp_path / "labeled.npz", x=np.zeros((3, 2)), y=np.array([0, 1, 1], np.uint8))
    _, labels = read_labeled(tmp_path / "labeled.npz")
    assert labels is not None
    assert labels.tolist() == [0, 1, 1]
    np.savez(tmp_path / "plain.npz", x=np.zeros((3, 2)))
    assert read_labeled(tmp_path / "plain.npz")[1] is None
    np.savez(tmp_path / "wrong.npz", x=np.zeros((3, 2)), y=np.zeros(2))
    with pytest.raises(ConfigError, match=r"expected labels y of 3 samples, got \(2,\)"):
        read_labeled(tmp_path / "wrong.npz")
