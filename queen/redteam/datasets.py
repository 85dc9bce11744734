"""Real data sets that can be had offline, and how they are divided.

The protectee trains on one part, the thief queries another that the protectee never
saw, and accuracy is measured on a third.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from queen.errors import ConfigError

Images = NDArray[np.float32]
Labels = NDArray[np.int64]

FASHION_MNIST_FOLDER = Path("/usr/share/datasets/fashion-mnist")
FASHION_MNIST_NAMES = (
    *("T-shirt", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


@dataclass(frozen=True, eq=False)
class Split:
    """One data set in three parts: inputs (N, ...) float32 in [0, 1], labels (N,) int64."""

    name: str
    class_names: tuple[str, ...]
    train_x: Images
    train_y: Labels
    pool_x: Images
    test_x: Images
    test_y: Labels


def load_digits_split(seed: int) -> Split:
    """scikit-learn's digits, 8 x 8 flattened to 64: 800 to train on, 600 pool, 397 test."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - only the demo needs scikit-learn

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(images))
    x = (images[order] / 16.0).astype(np.float32)
    y = labels[order].astype(np.int64)
    names = tuple(str(digit) for digit in range(10))
    return Split("digits", names, x[:800], y[:800], x[800:1400], x[1400:], y[1400:])


def load_fashion_mnist_split(seed: int, folder: Path | None = None) -> Split:
    """Fashion-MNIST, (1, 28, 28): half of the training set to train on, half pool.

    `folder` holds the four IDX files, plain or gzipped; the Debian package
    `dataset-fashion-mnist` puts them where it looks by default. Raises ConfigError.
    """
    folder = folder or FASHION_MNIST_FOLDER
    x = _pixels(folder, "train-images-idx3-ubyte")
    y = _read_idx(folder, "train-labels-idx1-ubyte").astype(np.int64)
    order = np.random.default_rng(seed).permutation(len(x))
    half = len(x) // 2
    return Split(
        "fashion-mnist",
        FASHION_MNIST_NAMES,
        x[order[:half]],
        y[order[:half]],
        x[order[half:]],
        _pixels(folder, "t10k-images-idx3-ubyte"),
        _read_idx(folder, "t10k-labels-idx1-ubyte").astype(np.int64),
    )


def jittered_pool(pool: Images, count: int, rng: np.random.Generator) -> Images:
    """`count` queries from a small pool: images drawn from it, with noise.

    `pool` (N, ...) in [0, 1] -> (count, ...); the noise has a standard deviation of 0.06.
    """
    images = pool[rng.integers(0, len(pool), count)]
    noisy = images + 0.06 * rng.normal(size=images.shape)
    return np.clip(noisy, 0.0, 1.0).astype(np.float32)


def _pixels(folder: Path, name: str) -> Images:
    return (_read_idx(folder, name)[:, None] / np.float32(255)).astype(np.float32)


def _read_idx(folder: Path, name: str) -> NDArray[np.uint8]:
    """An IDX file of unsigned bytes: magic 0 0 8 rank, then one big-endian extent an axis."""
    for file in (folder / name, folder / f"{name}.gz"):
        if file.is_file():
            content = file.read_bytes()
            break
    else:
        raise ConfigError(
            f"{folder}: expected {name} or {name}.gz; install Debian's dataset-fashion-mnist "
            "or name the folder of the IDX files with --data-dir"
        )
    if file.suffix == ".gz":
        content = gzip.decompress(content)
    if content[:3] != b"\x00\x00\x08":
        raise ConfigError(f"{file}: expected an IDX file of unsigned bytes, got something else")
    shape = np.frombuffer(content, ">i4", content[3], 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)
