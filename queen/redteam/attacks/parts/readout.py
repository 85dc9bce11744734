"""The outputs that a thief reads from a copy of their own: beliefs, features, doubt.

Shapes: N images, C classes, D feature width.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers

_BATCH = 512


def posterior(network: nn.Module, images: Images) -> Answers:
    """Softmax of the network's logits, (N, ...) -> (N, C) float32."""
    logits = torch.from_numpy(_outputs(network, images))
    probabilities: Answers = torch.softmax(logits, dim=1).numpy()
    return probabilities


def penultimate(network: nn.Module, images: Images) -> NDArray[np.float32]:
    """Input of the network's last layer, (N, ...) -> (N, D); the network is a sequence of layers.

    Raises TypeError for any other network.
    """
    if not isinstance(network, nn.Sequential):
        raise TypeError(f"expected a sequence of layers, got {type(network).__name__}")
    return _outputs(network[:-1], images)


def entropy(probabilities: Answers) -> NDArray[np.float32]:
    """Shannon entropy in nats of each row, (N, C) -> (N,); 0 log 0 is 0."""
    floor = np.finfo(np.float32).tiny
    nats: NDArray[np.float32] = -(probabilities * np.log(np.maximum(probabilities, floor))).sum(1)
    return nats


def _outputs(network: nn.Module, images: Images) -> NDArray[np.float32]:
    device = next(network.parameters()).device
    parts = torch.split(torch.from_numpy(np.ascontiguousarray(images)), _BATCH)
    with torch.inference_mode():
        outputs = torch.cat([network(part.to(device)) for part in parts])
    rows: NDArray[np.float32] = outputs.cpu().numpy()
    return rows
