"""Real data, divided into parts that share no image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from queen.errors import ConfigError
from queen.redteam import datasets
from queen.redteam.datasets import (
    jittered_pool,
    load_digits_split,
    load_fashion_mnist_split,
    load_images,
    load_split,
)
from tests.unit.redteam.idx_files import write_idx_set


def test_digits_are_divided_without_overlap():
    """No digit is in two parts, and together they are the whole set."""
    split = load_digits_split(3)
    assert [len(split.train_x), len(split.pool_x), len(split.test_x)] == [800, 600, 397]
    rows = np.concatenate([split.train_x, split.pool_x, split.test_x])
    whole = np.concatenate([load_digits_split(0).train_x, load_digits_split(0).pool_x])
    assert rows.min() == 0.0
    assert rows.max() == 1.0
    assert {row.tobytes() for row in whole} <= {row.tobytes() for row in rows}


def test_digits_of_one_seed_are_the_same():
    """A seed names a division."""
    assert np.array_equal(load_digits_split(1).train_x, load_digits_split(1).train_x)
    assert not np.array_equal(load_digits_split(1).train_x, load_digits_split(2).train_x)


@pytest.mark.parametrize("packed", [False, True])
def test_fashion_mnist_is_read_from_idx_files(tmp_path: Path, packed: bool):
    """Plain and gzipped IDX files give the same shapes, pixels in [0, 1]."""
    write_idx_set(tmp_path, packed=packed)
    split = load_fashion_mnist_split(0, tmp_path)
    assert split.train_x.shape == (10, 1, 28, 28)
    assert split.pool_x.shape == (10, 1, 28, 28)
    assert split.test_y.tolist() == [0, 1, 2, 3, 4, 5]
    assert 0.9 < split.train_x.max() <= 1.0


def test_a_missing_file_is_named(tmp_path: Path):
    """The error says which file, and two ways to get it."""
    with pytest.raises(ConfigError, match=r"train-images-idx3-ubyte.*--data-dir"):
        load_fashion_mnist_split(0, tmp_path)


def test_another_format_is_refused(tmp_path: Path):
    """A file that is not IDX is not read as if it were."""
    write_idx_set(tmp_path, packed=False)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"not an idx file at all")
    with pytest.raises(ConfigError, match="expected an IDX file"):
        load_fashion_mnist_split(0, tmp_path)


def test_jitter_keeps_the_range_and_the_count():
    """Queries stay images in [0, 1], most of them new."""
    pool = load_digits_split(0).pool_x
    queries = jittered_pool(pool, 50, np.random.default_rng(0))
    assert queries.shape == (50, 64)
    assert queries.min() >= 0.0
    assert queries.max() <= 1.0
    assert not {row.tobytes() for row in queries} & {row.tobytes() for row in pool}


def test_a_folder_of_the_sets_name_comes_first(tmp_path: Path):
    """DATA/mnist is read before DATA itself, whose files have the same names."""
    write_idx_set(tmp_path / "mnist", packed=True)
    split = load_split("mnist", 0, tmp_path)
    assert split.name == "mnist"
    assert split.class_names == tuple("0123456789")
    assert split.train_x.shape == (10, 1, 28, 28)
    assert load_split("mnist", 0, tmp_path / "mnist").test_y.tolist() == split.test_y.tolist()


def test_another_set_is_never_read_from_the_folder_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Files of Fashion-MNIST are not mistaken for those of MNIST."""
    monkeypatch.setattr(datasets, "DATA_FOLDER", tmp_path / "nothing")
    write_idx_set(tmp_path, packed=False)
    with pytest.raises(ConfigError, match="make data"):
        load_images("mnist", tmp_path)


def test_the_usual_folder_is_of_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without --data-dir a set is looked for where `make data` puts it."""
    monkeypatch.setattr(datasets, "DATA_FOLDER", tmp_path)
    write_idx_set(tmp_path / "fashion-mnist", packed=False)
    write_idx_set(tmp_path / "mnist", packed=False)
    assert load_split("fashion-mnist", 0).train_x.shape == (10, 1, 28, 28)
    assert load_images("mnist").shape == (20, 1, 28, 28)


def _write_strips(folder: Path) -> np.ndarray:
    rng = np.random.default_rng(0)
    strips = rng.integers(0, 256, (6, 4, 1024, 3)).astype(np.uint8)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    for name, strip in zip(names, strips, strict=True):
        Image.fromarray(strip).save(folder / f"{name}.png")
    (folder / "train_lables.json").write_text(json.dumps([*range(10), *range(10)]))
    (folder / "test_lables.json").write_text(json.dumps([0, 1, 2, 3]))
    return strips


def test_cifar_is_read_from_strips(tmp_path: Path):
    """A row of 1,024 pixels is an image, channels first."""
    strips = _write_strips(tmp_path)
    split = load_split("cifar10", 0, tmp_path)
    assert split.train_x.shape == (10, 3, 32, 32)
    assert split.test_y.tolist() == [0, 1, 2, 3]
    expected = strips[5, 2].reshape(32, 32, 3).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(split.test_x[2], expected, atol=1e-3)


def test_missing_strips_are_named(tmp_path: Path):
    """The error says which file, and how to get it."""
    with pytest.raises(ConfigError, match=r"data_batch_1.png.*make data-cifar10"):
        load_split("cifar10", 0, tmp_path)


def test_an_unknown_set_is_named():
    """The error lists the data sets there are."""
    with pytest.raises(ConfigError, match="digits, fashion-mnist, mnist, cifar10"):
        load_split("imagenet", 0)
