"""Shadow models: stand-ins for the piracy model, and the keyed draw among them."""

from __future__ import annotations

import copy
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from queen.errors import FitError
from queen.method.geometry import Geometry, LabelArray

ARCHITECTURES = ("head", "mlp", "cnn", "resnet")


class ShadowNetwork(nn.Module):
    """Standardizes its input, then runs `body`: (B, ...) -> logits (B, C).

    The scalars `input_mean` and `input_scale` make one body fit inputs of any range.
    """

    input_mean: Tensor
    input_scale: Tensor

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("input_mean", torch.zeros(()))
        self.register_buffer("input_scale", torch.ones(()))

    def standardize(self, mean: float, scale: float) -> None:
        """Set the mean and the standard deviation of the training inputs."""
        self.input_mean.fill_(mean)
        self.input_scale.fill_(scale if scale > 1e-12 else 1.0)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (B, C) of inputs (B, ...)."""
        logits: Tensor = self.body((inputs - self.input_mean) / self.input_scale)
        return logits


def build_shadow(architecture: str, input_shape: Sequence[int], num_classes: int) -> ShadowNetwork:
    """An untrained shadow for inputs of `input_shape` (without the batch axis).

    `head` is one linear layer, over features; `mlp` takes any shape; `cnn` and `resnet`
    take images, (H, W), (channels, H, W) or (H, W, channels). Raises FitError otherwise.
    """
    shape = tuple(int(extent) for extent in input_shape)
    width = int(np.prod(shape))
    if architecture == "head":
        return ShadowNetwork(nn.Sequential(nn.Flatten(), nn.Linear(width, num_classes)))
    if architecture == "mlp":
        return ShadowNetwork(_mlp(width, num_classes))
    if architecture in ("cnn", "resnet"):
        layout = _ChannelsFirst(shape)
        make = _cnn if architecture == "cnn" else _resnet
        return ShadowNetwork(nn.Sequential(layout, *make(layout.channels, num_classes)))
    raise FitError(
        f"expected a shadow architecture of {', '.join(ARCHITECTURES)}, got {architecture}"
    )


class _ChannelsFirst(nn.Module):
    """Brings images to (B, channels, H, W), whichever axis their channels are on."""

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        if len(input_shape) not in (2, 3):
            raise FitError(f"expected images of 2 or 3 axes for this shadow, got {input_shape}")
        self.added = len(input_shape) == 2
        self.last = not self.added and input_shape[2] <= 4 < input_shape[0]
        self.channels = 1 if self.added else input_shape[2 if self.last else 0]

    def forward(self, images: Tensor) -> Tensor:
        """(B, H, W), (B, channels, H, W) or (B, H, W, channels) -> (B, channels, H, W)."""
        if self.added:
            return images[:, None]
        return images.permute(0, 3, 1, 2) if self.last else images


def _mlp(width: int, num_classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, num_classes))


def _cnn(channels: int, num_classes: int) -> list[nn.Module]:
    return [
        *(nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4)),
        *(nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, num_classes)),
    ]


def _resnet(channels: int, num_classes: int) -> list[nn.Module]:
    return [
        *(nn.Conv2d(channels, 32, 3, padding=1), nn.GroupNorm(8, 32), nn.ReLU()),
        *(_Residual(32, 32, 1), _Residual(32, 64, 2), _Residual(64, 128, 2)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, num_classes)),
    ]


class _Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut.

    Group norm, since one epoch of training is too short for running means.
    """

    def __init__(self, wide: int, out: int, stride: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            *(nn.Conv2d(wide, out, 3, stride, 1), nn.GroupNorm(8, out), nn.ReLU()),
            *(nn.Conv2d(out, out, 3, padding=1), nn.GroupNorm(8, out)),
        )
        self.shortcut = nn.Identity() if wide == out else nn.Conv2d(wide, out, 1, stride)

    def forward(self, images: Tensor) -> Tensor:
        """(B, wide, H, W) -> (B, out, H / stride, W / stride)."""
        return torch.relu(self.inner(images) + self.shortcut(images))


class ShadowEnsemble:
    """Copies of n trained shadows; each row is answered by the mean of the members it drew.

    The forwards run in float64: their result, once rounded to float32, does not depend
    on what else is in the batch, which float32 matrix products do not promise.
    """

    def __init__(self, shadows: Sequence[nn.Module], device: torch.device | str = "cpu") -> None:
        if not shadows:
            raise FitError("expected at least 1 shadow model, got 0")
        self.device = torch.device(device)
        copies = [copy.deepcopy(shadow) for shadow in shadows]
        self._shadows = [shadow.to(self.device, torch.float64).eval() for shadow in copies]

    @property
    def count(self) -> int:
        """n."""
        return len(self._shadows)

    @torch.inference_mode()
    def mean_probabilities(self, inputs: Tensor, members: NDArray[np.int64]) -> Tensor:
        """q: mean over K of softmax(shadow(x)), inputs (B, ...), members (B, K) -> (B, C) float64.

        The mean is over probabilities, not over logits. One forward a shadow, over the
        rows that drew it. Raises FitError for a member that is not loaded: its share
        would be missing from the mean.
        """
        if members.size and not 0 <= members.min() <= members.max() < self.count:
            raise FitError(f"expected members in 0..{self.count - 1}, got {members.max()}")
        wide = inputs.to(self.device, torch.float64)
        drawn = torch.from_numpy(members).to(self.device)
        mean: Tensor | None = None
        for index, shadow in enumerate(self._shadows):
            rows = (drawn == index).any(dim=1).nonzero()[:, 0]
            if not len(rows):
                continue
            share = torch.softmax(shadow(wide[rows]), dim=1) / members.shape[1]
            mean = wide.new_zeros(len(wide), share.shape[1]) if mean is None else mean
            mean.index_add_(0, rows, share)
        if mean is None:
            raise FitError("expected at least 1 row and 1 member, got none")
        return mean


@dataclass(frozen=True, eq=False)
class ShadowDraw:
    """The keyed draw of K among n shadows, the same for every account and every replica.

    `secret` is the operator's, `bundle_digest` names the bundle, `geometry` gives the cells
    of its embedding, `count` is n and `drawn` is K. Raises FitError unless 1 <= K <= n.
    """

    secret: bytes
    bundle_digest: str
    geometry: Geometry
    count: int
    drawn: int

    def __post_init__(self) -> None:
        if not 1 <= self.drawn <= self.count:
            raise FitError(f"expected to draw 1 to {self.count} shadows, got {self.drawn}")

    def members(self, embeddings: NDArray[np.float32], labels: LabelArray) -> NDArray[np.int64]:
        """K distinct shadows for each row, keyed by HMAC(secret, bundle digest, y, cell).

        `embeddings` z (B, E), `labels` y (B,) -> (B, K) in 0..n-1. The cell is
        floor((z - c_y) / r_y), a cube of side r_y, so that neighbors mostly share a draw. The
        account is not part of the key: neither asking twice nor comparing two accounts tells
        anything.
        """
        offset = embeddings.astype(np.float64) - self.geometry.cluster_centers[labels]
        scaled = offset / self.geometry.coverage_radius[labels][:, None]
        cells = np.floor(np.clip(scaled, -(2.0**62), 2.0**62)).astype("<i8")
        bundle = self.bundle_digest.encode()
        rows = [
            self._keyed_sample(bundle + int(label).to_bytes(4, "little") + cell.tobytes())
            for label, cell in zip(labels, cells, strict=True)
        ]
        return np.array(rows, np.int64).reshape(len(labels), self.drawn)

    def _keyed_sample(self, message: bytes) -> list[int]:
        """The first K positions of a Fisher-Yates shuffle, driven by an extendable keyed hash."""
        key = hmac.digest(self.secret, message, "sha256")
        words = np.frombuffer(hashlib.shake_256(key).digest(8 * self.drawn), "<u8").tolist()
        order = list(range(self.count))
        for position, word in enumerate(words):
            other = position + word % (self.count - position)
            order[position], order[other] = order[other], order[position]
        return order[: self.drawn]
