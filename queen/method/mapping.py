"""The mapping network g, z = g(f), and the supervised contrastive loss that trains it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from queen.errors import FitError

WIDTHS = (512, 128, 32, 8)
LEAK = 0.1
"""Slope of a unit that is off. With 0, most of the last 8 units are off for some class,
which then lies on a line: its ledger holds a third of the records of a disc."""


class MappingNetwork(nn.Module):
    """An MLP whose width shrinks layer by layer, from features (B, D) to embeddings (B, E).

    The features are standardized first, (f - mean) / scale, with two buffers that
    `standardize` sets. Hidden widths that are not below D are left out.
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(
        self, feature_width: int, widths: Sequence[int] = WIDTHS, embedding_width: int = 2
    ) -> None:
        super().__init__()
        hidden = [width for width in widths if width < feature_width]
        self.layer_widths = [feature_width, *hidden, embedding_width]
        self.layers = nn.ModuleList(
            nn.Linear(wide, narrow)
            for wide, narrow in zip(self.layer_widths, self.layer_widths[1:], strict=False)
        )
        self.register_buffer("feature_mean", torch.zeros(feature_width))
        self.register_buffer("feature_scale", torch.ones(feature_width))

    def standardize(self, features: Tensor) -> None:
        """Set mean and scale to those of the features (N, D); a constant feature keeps scale 1."""
        scale = features.std(dim=0)
        self.feature_mean.copy_(features.mean(dim=0))
        self.feature_scale.copy_(torch.where(scale > 1e-6, scale, torch.ones_like(scale)))

    def forward(self, features: Tensor) -> Tensor:
        """z = g(f), (B, D) -> (B, E)."""
        hidden = (features - self.feature_mean) / self.feature_scale
        for layer in self.layers[:-1]:
            hidden = nn.functional.leaky_relu(layer(hidden), LEAK)
        embeddings: Tensor = self.layers[-1](hidden)
        return embeddings


def supervised_contrastive_loss(
    embeddings: Tensor, labels: Tensor, temperature: float = 0.07
) -> Tensor:
    """Khosla et al. 2020, eq. 2 (L_out): embeddings (B, E), labels (B,) -> scalar.

    The mean over i of -1/|P(i)| sum_{p in P(i)} log(e_ip / sum_{a != i} e_ia), where
    e_ij = exp(z_i z_j / tau), z normalized, P(i) the other samples of i's class.
    A class with one sample in the batch has an empty P(i), whose mean would be NaN:
    it is an error here.
    """
    unit = nn.functional.normalize(embeddings, dim=1)
    return _contrast(unit @ unit.T / temperature, labels)


def distance_contrastive_loss(embeddings: Tensor, labels: Tensor) -> Tensor:
    """The loss above with e_ij = exp(-||z_i - z_j||^2): embeddings (B, E), labels (B,) -> scalar.

    Cosines leave the length of z free, so that classes become rays around the origin;
    distances make them discs, which is what the sensitive regions are. There is no
    temperature, since the network can scale z.
    """
    squared = embeddings.square().sum(dim=1)
    distances = squared[:, None] + squared[None, :] - 2.0 * embeddings @ embeddings.T
    return _contrast(-distances.clamp_min(0.0), labels)


def _contrast(similarity: Tensor, labels: Tensor) -> Tensor:
    """The loss above from similarities (B, B) and labels (B,), a scalar.

    Raises FitError if a class has one sample in the batch.
    """
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    positive = (labels[:, None] == labels[None, :]) & ~itself
    count = positive.sum(dim=1)
    if bool((count == 0).any()):
        raise FitError("expected at least 2 samples of every class in a batch, got a class with 1")
    log_share = similarity - similarity.masked_fill(itself, -torch.inf).logsumexp(1, keepdim=True)
    return -(log_share.masked_fill(~positive, 0.0).sum(dim=1) / count).mean()


def class_pair_batches(
    labels: NDArray[np.integer], batch_size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """The index batches of an epoch, in which every class present has at least two samples.

    Samples are shuffled, paired within their class (an odd one makes a triple), and the
    pairs are dealt out in random order: `labels` (N,) -> arrays of about `batch_size`.
    Raises FitError for a class with one sample.
    """
    units: list[NDArray[np.int64]] = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        if len(members) < 2:
            raise FitError(f"class {label}: expected at least 2 samples, got {len(members)}")
        units += np.array_split(members, len(members) // 2)
    order = rng.permutation(len(units))
    per_batch = max(1, batch_size // 2)
    for start in range(0, len(order), per_batch):
        yield np.concatenate([units[i] for i in order[start : start + per_batch]])
