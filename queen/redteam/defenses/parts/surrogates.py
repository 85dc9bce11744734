"""Networks of half width that a defense runs to imitate the thief, or to lie.

They run in float64: a defense that picks the best of many points must pick the same point
wherever a row stands in its batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from queen.redteam.datasets import Images
from queen.redteam.defenses.parts.simplex import FloatArray
from queen.redteam.networks import build_network

# Small enough for the activations of a row of images to stay in the cache.
_ROWS = 64


def random_network(dataset: str, seed: int) -> nn.Sequential:
    """An untrained network for `dataset`; Torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(dataset, 0.5)


def class_probabilities(network: nn.Module, inputs: Images) -> FloatArray:
    """Softmax of a network in float64, inputs (B, ...) -> (B, C)."""
    with torch.inference_mode():
        parts = [network(part).softmax(dim=1) for part in wide_parts(inputs)]
    probabilities: FloatArray = torch.cat(parts).numpy()
    return probabilities


def wide_parts(rows: NDArray[np.floating]) -> Iterator[Tensor]:
    """`rows` (B, ...) in order, a few at a time, as float64; an empty part where B is 0."""
    for start in range(0, max(len(rows), 1), _ROWS):
        yield torch.from_numpy(rows[start : start + _ROWS].astype(np.float64))
