"""The samples of a file and the protectee's outputs. Shapes: N samples, E embedding width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from queen_inference.protectee import Protectee

from queen.bundle import Bundle
from queen.errors import ConfigError


def read_samples(path: Path) -> NDArray[Any]:
    """The samples x (N, ...) of an npz file; ConfigError if it holds none."""
    samples, _ = read_labeled(path)
    return samples


def read_labeled(path: Path) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
    """The samples x (N, ...) of an npz file and their labels y (N,), None without any.

    Raises ConfigError if it holds no samples, or other labels than one a sample.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            samples: NDArray[Any] = archive["x"]
            labels = archive["y"].astype(np.int64) if "y" in archive.files else None
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{path}: expected an npz file with samples x (N, ...)") from error
    if labels is not None and labels.shape != (len(samples),):
        raise ConfigError(
            f"{path}: expected labels y of {len(samples)} samples, got {labels.shape}"
        )
    return samples, labels


def see_samples(
    protectee: Protectee, samples: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings (N, E) and predicted labels (N,) of samples (N, ...)."""
    outputs = protectee.run(samples)
    return outputs.embeddings, outputs.logits.argmax(axis=1)


def open_protectee(bundle: Bundle) -> Protectee:
    """The protectee as the front door runs it, on one thread."""
    return Protectee(bundle, threads=1, max_batch_rows=256)
