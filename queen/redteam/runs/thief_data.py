"""The thief's own images, read from an npz, with or without a test set.

Shapes: N images, T test images.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from queen.errors import ConfigError
from queen.redteam.datasets import Images, Labels

_TEST_SHARE = 5
"""Of labeled images without a test set, one in five is kept for the test."""


@dataclass(frozen=True, eq=False)
class ThiefData:
    """The thief's images (N, ...) and, where there are any, a test set (T, ...), (T,)."""

    pool: Images
    test_x: Images | None
    test_y: Labels | None


def read_thief_data(file: Path) -> ThiefData:
    """Images x (N, ...) of an npz, and test_x, test_y; with y instead, a fifth is the test set.

    Raises ConfigError for a file that is no npz or has no x.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except ValueError as error:
        raise ConfigError(f"{file}: expected an npz of arrays, got something else") from error
    if "x" not in arrays:
        raise ConfigError(f"{file}: expected an array x of images, got {', '.join(arrays)}")
    pool = arrays["x"].astype(np.float32)
    if "test_x" in arrays:
        test_y = arrays.get("test_y")
        labels = None if test_y is None else test_y.astype(np.int64)
        return ThiefData(pool, arrays["test_x"].astype(np.float32), labels)
    if "y" not in arrays:
        return ThiefData(pool, None, None)
    held = np.random.default_rng(0).permutation(len(pool)) < len(pool) // _TEST_SHARE
    return ThiefData(pool[~held], pool[held], arrays["y"].astype(np.int64)[held])
