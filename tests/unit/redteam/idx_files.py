"""Small IDX sets, as MNIST and Fashion-MNIST come."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np


def write_idx(path: Path, array: np.ndarray, *, packed: bool) -> None:
    """Write an IDX file of unsigned bytes, gzipped if `packed`."""
    header = b"\x00\x00\x08" + bytes([array.ndim]) + np.array(array.shape, ">i4").tobytes()
    content = header + array.astype(np.uint8).tobytes()
    if packed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)


def write_idx_set(folder: Path, *, packed: bool) -> None:
    """Write 20 training images and 6 test images of noise, with labels."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for prefix, count in (("train", 20), ("t10k", 6)):
        images = rng.integers(0, 256, (count, 28, 28))
        write_idx(folder / f"{prefix}-images-idx3-ubyte", images, packed=packed)
        labels = np.arange(count) % 10
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", labels, packed=packed)
