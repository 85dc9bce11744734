"""The thief's images, read from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from queen.errors import ConfigError
from queen.redteam.runs.thief_data import read_thief_data

IMAGES = np.arange(40, dtype=np.float64).reshape(20, 2)
LABELS = np.arange(20)


def test_a_test_set_is_taken_as_it_is(tmp_path: Path) -> None:
    """With labels or without; all images are the thief's."""
    np.savez(tmp_path / "a.npz", x=IMAGES, test_x=IMAGES[:3], test_y=LABELS[:3])
    data = read_thief_data(tmp_path / "a.npz")
    assert data.pool.dtype == np.float32
    assert data.pool.tolist() == IMAGES.tolist()
    assert data.test_y is not None
    assert data.test_y.tolist() == [0, 1, 2]
    np.savez(tmp_path / "b.npz", x=IMAGES, test_x=IMAGES[:3])
    data = read_thief_data(tmp_path / "b.npz")
    assert data.test_x is not None
    assert data.test_y is None


def test_of_labeled_images_a_fifth_is_the_test_set(tmp_path: Path) -> None:
    """It is not asked about, and keeps its labels."""
    np.savez(tmp_path / "a.npz", x=IMAGES, y=LABELS)
    data = read_thief_data(tmp_path / "a.npz")
    assert data.test_x is not None
    assert data.test_y is not None
    assert (len(data.pool), len(data.test_x)) == (16, 4)
    assert data.test_x[:, 0].tolist() == (2 * data.test_y).tolist()
    assert not set(data.pool[:, 0]) & set(data.test_x[:, 0])


def test_images_alone_have_no_test_set(tmp_path: Path) -> None:
    """The copy is then not measured."""
    np.savez(tmp_path / "a.npz", x=IMAGES)
    data = read_thief_data(tmp_path / "a.npz")
    assert data.test_x is None
    assert data.test_y is None


def test_another_file_is_refused(tmp_path: Path) -> None:
    """Without images, or not an npz of arrays."""
    np.savez(tmp_path / "a.npz", images=IMAGES)
    with pytest.raises(ConfigError, match="an array x of images, got images"):
        read_thief_data(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_text("x")
    with pytest.raises(ConfigError, match="an npz of arrays"):
        read_thief_data(tmp_path / "b.npz")
