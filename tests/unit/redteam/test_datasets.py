"""Real data, divided so that nobody sees what is not theirs."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from queen.errors import ConfigError
from queen.redteam.datasets import jittered_pool, load_digits_split, load_fashion_mnist_split


def _write_idx(path: Path, array: np.ndarray, *, packed: bool) -> None:
    header = b"\x00\x00\x08" + bytes([array.ndim]) + np.array(array.shape, ">i4").tobytes()
    content = header + array.astype(np.uint8).tobytes()
    if packed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)


def _write_fashion(folder: Path, *, packed: bool) -> None:
    rng = np.random.default_rng(0)
    for prefix, count in (("train", 20), ("t10k", 6)):
        images = rng.integers(0, 256, (count, 28, 28))
        _write_idx(folder / f"{prefix}-images-idx3-ubyte", images, packed=packed)
        labels = np.arange(count) % 10
        _write_idx(folder / f"{prefix}-labels-idx1-ubyte", labels, packed=packed)


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
    _write_fashion(tmp_path, packed=packed)
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
    _write_fashion(tmp_path, packed=False)
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
