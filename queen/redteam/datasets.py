"""Real data sets, read from files and divided into three parts.

The protectee trains on the first part, the thief queries the second, which the protectee
never saw, and accuracy is measured on the third.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from queen.errors import ConfigError

Images = NDArray[np.float32]
Labels = NDArray[np.int64]

DATASETS = ("digits", "fashion-mnist", "mnist", "cifar10")
DATA_FOLDER = Path("build/data")
"""The folder into which `make data` puts the folders of the sets."""
FASHION_MNIST_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""The folder of Debian's package."""
FASHION_MNIST_NAMES = (
    *("T-shirt", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
CIFAR10_NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
_DIGITS = tuple(str(digit) for digit in range(10))
_HINTS = {
    "fashion-mnist": "install Debian's dataset-fashion-mnist, run `make data`",
    "mnist": "run `make data`",
    "cifar10": "run `make data-cifar10`",
}


@dataclass(frozen=True, eq=False)
class Split:
    """A data set in three parts: inputs (N, ...) float32 in [0, 1], labels (N,) int64.

    The thief does not know `pool_y`; the evaluator's honest accounts send the pool, too.
    """

    name: str
    class_names: tuple[str, ...]
    train_x: Images
    train_y: Labels
    pool_x: Images
    pool_y: Labels
    test_x: Images
    test_y: Labels


def load_digits_split(seed: int) -> Split:
    """scikit-learn's digits, 8 x 8 flattened to 64: 800 to train on, 600 pool, 397 test."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - only the demo needs scikit-learn

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(images))
    x = (images[order] / 16.0).astype(np.float32)
    y = labels[order].astype(np.int64)
    train, pool = (x[:800], y[:800]), (x[800:1400], y[800:1400])
    return Split("digits", _DIGITS, *train, *pool, x[1400:], y[1400:])


def load_fashion_mnist_split(seed: int, folder: Path | None = None) -> Split:
    """Fashion-MNIST, (1, 28, 28): half of the training set to train on, half pool.

    `folder` holds the four IDX files, plain or gzipped; the default is build/data/fashion-mnist,
    or the folder of Debian's package. Raises ConfigError for files that are missing.
    """
    folder = folder or _default_folder("fashion-mnist")
    return _read_idx_set(folder).halved("fashion-mnist", FASHION_MNIST_NAMES, seed)


def load_split(dataset: str, seed: int, data_dir: Path | None = None) -> Split:
    """Any of DATASETS, divided: digits, or half to train on and half pool.

    `data_dir` holds the files of the set, or a folder of its name that does. Raises
    ConfigError for a set that is unknown or whose files are missing.
    """
    if dataset == "digits":
        return load_digits_split(seed)
    if dataset not in DATASETS:
        raise ConfigError(f"expected a data set of {', '.join(DATASETS)}, got {dataset}")
    folder = _folder_of(dataset, data_dir) or data_dir or _default_folder(dataset)
    if dataset == "fashion-mnist":
        return load_fashion_mnist_split(seed, folder)
    if dataset == "mnist":
        return _read_idx_set(folder).halved(dataset, _DIGITS, seed)
    return _read_strips(folder).halved(dataset, CIFAR10_NAMES, seed)


def load_images(dataset: str, data_dir: Path | None = None) -> Images:
    """The training images of `fashion-mnist` or `mnist`, (60000, 1, 28, 28), unlabeled.

    Never from `data_dir` itself: the files of two such sets have the same names.
    """
    folder = _folder_of(dataset, data_dir) or _default_folder(dataset)
    return _pixels(folder, "train-images-idx3-ubyte", dataset)


def _folder_of(dataset: str, data_dir: Path | None) -> Path | None:
    own = data_dir / dataset if data_dir else None
    return own if own and own.is_dir() else None


def _default_folder(dataset: str) -> Path:
    own = DATA_FOLDER / dataset
    if dataset == "fashion-mnist" and not own.is_dir():
        return FASHION_MNIST_FOLDER
    return own


@dataclass(frozen=True, eq=False)
class _Published:
    """A data set as it is published: a training set and a test set."""

    x: Images
    y: Labels
    test_x: Images
    test_y: Labels

    def halved(self, name: str, class_names: tuple[str, ...], seed: int) -> Split:
        """Half of the training set to train on, the other half as the pool."""
        order = np.random.default_rng(seed).permutation(len(self.x))
        train, pool = order[: len(order) // 2], order[len(order) // 2 :]
        parts = (self.x[train], self.y[train], self.x[pool], self.y[pool])
        return Split(name, class_names, *parts, self.test_x, self.test_y)


def jittered_pool(pool: Images, count: int, rng: np.random.Generator) -> Images:
    """`count` queries from a small pool: images drawn from it, with noise.

    `pool` (N, ...) in [0, 1] -> (count, ...); the noise has a standard deviation of 0.06.
    """
    images = pool[rng.integers(0, len(pool), count)]
    noisy = images + 0.06 * rng.normal(size=images.shape)
    return np.clip(noisy, 0.0, 1.0).astype(np.float32)


def _read_idx_set(folder: Path) -> _Published:
    return _Published(
        _pixels(folder, "train-images-idx3-ubyte"),
        _read_idx(folder, "train-labels-idx1-ubyte").astype(np.int64),
        _pixels(folder, "t10k-images-idx3-ubyte"),
        _read_idx(folder, "t10k-labels-idx1-ubyte").astype(np.int64),
    )


def _pixels(folder: Path, name: str, dataset: str = "") -> Images:
    return (_read_idx(folder, name, dataset)[:, None] / np.float32(255)).astype(np.float32)


def _read_idx(folder: Path, name: str, dataset: str = "") -> NDArray[np.uint8]:
    """An IDX file of unsigned bytes: magic 0 0 8 rank, then a big-endian extent for each axis."""
    for file in (folder / name, folder / f"{name}.gz"):
        if file.is_file():
            content = file.read_bytes()
            break
    else:
        raise _missing(folder, f"{name} or {name}.gz", dataset or folder.name)
    if file.suffix == ".gz":
        content = gzip.decompress(content)
    if content[:3] != b"\x00\x00\x08":
        raise ConfigError(f"{file}: expected an IDX file of unsigned bytes, got something else")
    shape = np.frombuffer(content, ">i4", content[3], 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)


def _read_strips(folder: Path) -> _Published:
    """CIFAR-10 as PNG strips, an image of 1,024 pixels a row, and JSON lists of labels."""
    batches = [_strip(folder / f"data_batch_{batch}.png") for batch in range(1, 6)]
    return _Published(
        np.concatenate(batches),
        _strip_labels(folder / "train_lables.json"),
        _strip(folder / "test_batch.png"),
        _strip_labels(folder / "test_lables.json"),
    )


def _strip(file: Path) -> Images:
    from matplotlib import image  # noqa: PLC0415 - slow to import

    if not file.is_file():
        raise _missing(file.parent, file.name, "cifar10")
    rows: NDArray[np.float32] = image.imread(file)
    if rows.ndim != 3 or rows.shape[1:] != (1024, 3):
        raise ConfigError(f"{file}: expected rows of 1024 RGB pixels, got {rows.shape}")
    return np.ascontiguousarray(rows.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2), np.float32)


def _strip_labels(file: Path) -> Labels:
    if not file.is_file():
        raise _missing(file.parent, file.name, "cifar10")
    return np.array(json.loads(file.read_text()), np.int64)


def _missing(folder: Path, name: str, dataset: str) -> ConfigError:
    hint = _HINTS.get(dataset, _HINTS["fashion-mnist"])
    return ConfigError(
        f"{folder}: expected {name}; {hint} or name the folder of the files with --data-dir"
    )
