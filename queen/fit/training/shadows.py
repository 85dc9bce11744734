"""Train the shadow models, the stand-ins for a piracy model early in its training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from queen.fit.progress import Update, ignore_progress
from queen.fit.training.threads import one_thread
from queen.method.answers.ensemble import ShadowNetwork, build_shadow

Source = Literal["inputs", "features"]
Architecture = Literal["head", "mlp", "cnn", "resnet"]

SHADOW_RATE = 1e-3
"""Learning rate of the shadows unless another is asked for."""
SHADOW_BATCH = 64
FEWEST_STEPS = 10
"""Least training of a shadow whose strength is fitted."""


@dataclass(frozen=True)
class ShadowPlan:
    """The number of shadow models, the tensor that they read, and how long they train.

    `steps` batches of 64 samples, or `epochs` passes where `steps` is None; `rate` of learning.
    """

    on: Source = "inputs"
    count: int = 10
    epochs: int = 1
    steps: int | None = None
    seed: int = 0
    rate: float = SHADOW_RATE

    def planned_steps(self, samples: int) -> int:
        """Batches that a shadow is trained on."""
        return self.steps or self.epochs * math.ceil(samples / SHADOW_BATCH)


def choose_architecture(on: Source, shape: Sequence[int]) -> Architecture:
    """The architecture for inputs of `shape`: a linear head on features, else by image size.

    (H, W), (channels, H, W) and (H, W, channels) of at least 8 by 8 are images: `cnn` for
    small ones, `resnet` for larger ones and for color from 32 by 32 on; else `mlp`.
    """
    if on == "features":
        return "head"
    if len(shape) not in (2, 3):
        return "mlp"
    channels, sides = 1, tuple(shape)
    if len(shape) == 3:
        last = shape[2] <= 4 < shape[0]
        channels, sides = (shape[2], sides[:2]) if last else (shape[0], sides[1:])
    if min(sides) < 8:
        return "mlp"
    large = min(sides) > 32 or (channels >= 3 and min(sides) >= 32)
    return "resnet" if large else "cnn"


def train_shadows(
    inputs: NDArray[Any],
    labels: NDArray[np.int64],
    num_classes: int,
    plan: ShadowPlan,
    on_shadow: Update = ignore_progress,
) -> list[ShadowNetwork]:
    """Train n shadow models, a seed for each, on `inputs` (N, ...) and true `labels` (N,).

    `on_shadow` is called with the number of shadows that are done, and of all.
    """
    architecture = choose_architecture(plan.on, inputs.shape[1:])
    mean, scale = _moments(inputs)
    steps, shadows = plan.planned_steps(len(labels)), []
    for index in range(plan.count):
        seed = int(np.random.SeedSequence([plan.seed, index]).generate_state(1)[0])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            shadow = build_shadow(architecture, inputs.shape[1:], num_classes)
        shadow.standardize(mean, scale)
        with nullcontext() if architecture == "resnet" else one_thread():
            _train(shadow, inputs, labels, steps, seed, plan.rate)
        shadows.append(shadow.eval())
        on_shadow(index + 1, plan.count)
    return shadows


def shadow_tensors(shadow: ShadowNetwork) -> dict[str, NDArray[np.generic]]:
    """Parameters and buffers of a shadow by name, for its file in the bundle."""
    return {name: tensor.numpy().copy() for name, tensor in shadow.state_dict().items()}


def _train(
    shadow: ShadowNetwork,
    inputs: NDArray[Any],
    labels: NDArray[np.int64],
    steps: int,
    seed: int,
    rate: float,
) -> None:
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(shadow.parameters(), rate)
    order = np.empty(0, np.int64)
    for _ in range(steps):
        if not len(order):
            order = rng.permutation(len(labels))
        batch, order = order[:SHADOW_BATCH], order[SHADOW_BATCH:]
        rows = torch.from_numpy(inputs[batch].astype(np.float32))
        loss = torch.nn.functional.cross_entropy(shadow(rows), torch.from_numpy(labels[batch]))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _moments(inputs: NDArray[Any]) -> tuple[float, float]:
    """Mean and standard deviation over all numbers of `inputs`, in float64."""
    total = squared = 0.0
    for start in range(0, len(inputs), 4096):
        rows = inputs[start : start + 4096].astype(np.float64)
        total += float(rows.sum())
        squared += float(np.square(rows).sum())
    mean = total / inputs.size
    return mean, math.sqrt(max(squared / inputs.size - mean**2, 0.0))
