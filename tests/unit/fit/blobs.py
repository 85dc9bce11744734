"""Features and images that fall into classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def blobs(
    classes: int = 4, per_class: int = 60, width: int = 16, spread: float = 0.4
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """`per_class` features (N, width) around every class's point, in mixed order, and labels."""
    rng = np.random.default_rng(5)
    labels = rng.permutation(np.repeat(np.arange(classes), per_class))
    centers = rng.normal(size=(classes, width))
    features = centers[labels] + spread * rng.normal(size=(len(labels), width))
    return features.astype(np.float32), labels
