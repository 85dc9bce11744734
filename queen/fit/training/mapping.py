"""Train the mapping network g on the protectee's features."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from queen.errors import FitError
from queen.fit.graph.fuse import MappingWeights
from queen.fit.progress import Update, ignore_progress
from queen.fit.training.threads import one_thread
from queen.method.mapping import (
    MappingNetwork,
    class_pair_batches,
    distance_contrastive_loss,
    supervised_contrastive_loss,
)

Loss = Literal["distance", "cosine"]
LOSSES: dict[Loss, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "distance": distance_contrastive_loss,
    "cosine": supervised_contrastive_loss,
}
DEFAULT_STEPS = 1000
"""Enough for 1,400 and for 60,000 samples, as measured; more only tighten the training set."""

_LEARNING_RATE = 1e-3
_SCALE_FLOOR = 0.05
"""Least scale of a feature, as a share of the mean: a rare feature must not be blown up."""
_NOISE = 0.5
"""Noise on the features, in standard deviations. Without it g memorizes a small training set: its
samples draw together, the regions shrink, and most new queries of the same class lie outside."""


@dataclass(frozen=True)
class MappingPlan:
    """The choices for training g; `epochs` None means about DEFAULT_STEPS steps."""

    embedding_width: int = 2
    loss: Loss = "distance"
    epochs: int | None = None
    seed: int = 0

    def batch_size(self, num_classes: int) -> int:
        """The samples in a batch, enough for most classes to be in it."""
        return min(1024, max(256, 4 * num_classes))

    def planned_epochs(self, samples: int, num_classes: int) -> int:
        """Passes over the training set."""
        if self.epochs is not None:
            return self.epochs
        per_epoch = math.ceil(samples / self.batch_size(num_classes))
        return max(1, math.ceil(DEFAULT_STEPS / per_epoch))


def train_mapping(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    plan: MappingPlan,
    on_epoch: Update = ignore_progress,
) -> MappingNetwork:
    """Train g on `features` (N, D) and true `labels` (N,); the same g for the same seed.

    `on_epoch` is called with the number of epochs that are done, and of all.
    Raises FitError for a class with one sample, for features that are not finite and
    when training diverges.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        network = MappingNetwork(features.shape[1], embedding_width=plan.embedding_width)
    wide = torch.from_numpy(features)
    network.standardize(wide)
    _require_finite("mean of the features", float(network.feature_mean.sum()))
    network.feature_scale.clamp_(min=_SCALE_FLOOR * float(network.feature_scale.mean()))
    with one_thread():
        _descend(network, wide, labels, plan, on_epoch)
    return network.eval()


def _descend(
    network: MappingNetwork,
    features: torch.Tensor,
    labels: NDArray[np.int64],
    plan: MappingPlan,
    on_epoch: Update,
) -> None:
    classes = int(labels.max()) + 1
    epochs, batch_size = plan.planned_epochs(len(labels), classes), plan.batch_size(classes)
    targets, rng = torch.from_numpy(labels), np.random.default_rng(plan.seed)
    noise = torch.Generator().manual_seed(plan.seed)
    optimizer = torch.optim.Adam(network.parameters(), _LEARNING_RATE)
    steps = epochs * math.ceil(len(labels) / batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(epochs):
        for batch in class_pair_batches(labels, batch_size, rng):
            rows = features[batch]
            rows += _NOISE * network.feature_scale * torch.randn(rows.shape, generator=noise)
            loss = LOSSES[plan.loss](network(rows), targets[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        _require_finite("contrastive loss", float(loss.detach()))
        on_epoch(epoch + 1, epochs)


@torch.inference_mode()
def embed(network: MappingNetwork, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """z = g(f): `features` (N, D) -> (N, E)."""
    chunks = [features[start : start + 8192] for start in range(0, len(features), 8192)]
    return np.concatenate([network(torch.from_numpy(chunk)).numpy() for chunk in chunks])


def mapping_weights(network: MappingNetwork) -> MappingWeights:
    """The weights of a trained g, to be fused into the protectee's graph."""

    def numbers(tensor: torch.Tensor) -> NDArray[np.float32]:
        return tensor.detach().numpy().astype(np.float32)

    layers = [layer for layer in network.layers if isinstance(layer, torch.nn.Linear)]
    return MappingWeights(
        numbers(network.feature_mean),
        numbers(network.feature_scale),
        [(numbers(layer.weight), numbers(layer.bias)) for layer in layers],
    )


def _require_finite(figure: str, value: float) -> None:
    if not math.isfinite(value):
        raise FitError(
            f"training the mapping network: expected a finite {figure}, got {value}; the features "
            "are too far apart in scale, name another tensor with --features"
        )
