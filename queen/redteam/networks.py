"""Classifiers of the demo and the red team: protectees, and copies of half their width."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from queen.errors import ConfigError
from queen.redteam.augmentation import UNCHANGED, Augmentation
from queen.redteam.datasets import Images, Labels

OnEpoch = Callable[[int, int], None]
"""Called with the number of epochs done and the number of all epochs."""


def build_network(dataset: str, width: float = 1.0) -> nn.Sequential:
    """An untrained classifier for `dataset`; `width` 1 is the protectee, 0.5 the usual copy.

    The last module is the linear head, so that all but the last give the features.
    """
    if dataset == "digits":
        wide = int(128 * width)
        return nn.Sequential(
            *(nn.Linear(64, wide), nn.ReLU(), nn.Linear(wide, wide // 2), nn.ReLU()),
            nn.Linear(wide // 2, 10),
        )
    if dataset in {"fashion-mnist", "mnist"}:
        wide = int(32 * width)
        return nn.Sequential(
            # Pooling before the ReLU gives the same result and leaves the ReLU a quarter of the
            # work.
            *(nn.Conv2d(1, wide, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Conv2d(wide, 2 * wide, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(98 * wide, 4 * wide), nn.ReLU()),
            nn.Linear(4 * wide, 10),
        )
    if dataset == "cifar10":
        return _residual(dataset, (3, 10), width)
    if dataset.startswith(_ANY):
        return _any_network(dataset, width)
    raise ConfigError(
        f"expected a data set of digits, fashion-mnist, mnist, cifar10, got {dataset}"
    )


_ANY = "any:"
_FAMILIAR = {(64,): "digits", (1, 28, 28): "fashion-mnist", (3, 32, 32): "cifar10"}


def architecture_for(shape: tuple[int, ...], classes: int) -> str:
    """The name with which `build_network` builds for samples of this shape and C classes.

    The name of a data set of the same shape, or else a name made of shape and classes. Raises
    ConfigError for samples that are neither vectors nor images (channels, height, width).
    """
    if classes == 10 and shape in _FAMILIAR:
        return _FAMILIAR[shape]
    if len(shape) not in {1, 3}:
        raise ConfigError(f"expected samples that are vectors or images, got shape {shape}")
    return f"{_ANY}{'x'.join(map(str, shape))}:{classes}"


def _any_network(name: str, width: float) -> nn.Sequential:
    _, extents, classes = name.split(":")
    shape = [int(extent) for extent in extents.split("x")]
    wide, outputs = int(128 * width), int(classes)
    if len(shape) == 3:
        return _residual(name, (shape[0], outputs), width)
    return nn.Sequential(
        *(nn.Linear(shape[0], wide), nn.ReLU(), nn.Linear(wide, wide), nn.ReLU()),
        nn.Linear(wide, outputs),
    )


class ResidualBlock(nn.Module):
    """Two convolutions around a shortcut; `stride` 2 halves the image.

    Group normalization, unlike batch normalization, computes the same in training and use.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.GroupNorm(8, after)),
            *(nn.ReLU(), nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.GroupNorm(8, after)),
        )
        same = before == after and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, after, H / stride, W / stride)."""
        return torch.relu(self.body(images) + self.shortcut(images))


class ResidualSize(NamedTuple):
    """Channels of the first stage at width 1, and blocks of each of the three stages."""

    channels: int
    blocks: int


RESIDUAL_SIZES = {"cuda": ResidualSize(64, 2), "cpu": ResidualSize(32, 1)}
"""Sizes of residual networks by training device: a CPU trains the larger one for days."""


def _residual(dataset: str, ends: tuple[int, int], width: float) -> nn.Sequential:
    """A residual network for images of at least 4 x 4; `ends` are its channels and its classes."""
    (channels, classes), (full, blocks) = ends, RESIDUAL_SIZES[training_device(dataset)]
    wide = int(full * width)
    stages = [
        ResidualBlock(before, after, stride)
        for first, last in ((wide, wide), (wide, 2 * wide), (2 * wide, 4 * wide))
        for before, after, stride in [
            (first, last, 1 if first == last else 2),
            *[(last, last, 1)] * (blocks - 1),
        ]
    ]
    return nn.Sequential(
        *(nn.Conv2d(channels, wide, 3, padding=1, bias=False), nn.GroupNorm(8, wide), nn.ReLU()),
        *stages,
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * wide, classes)),
    )


def architecture(dataset: str, width: float = 1.0) -> str:
    """The name of the network of `build_network` in a cache: another size has another name."""
    name = dataset if width == 1 else f"{dataset} {width:g}"
    if not _is_residual(dataset):
        return name
    return f"{name} {'x'.join(map(str, RESIDUAL_SIZES[training_device(dataset)]))}"


def _is_residual(dataset: str) -> bool:
    return dataset == "cifar10" or dataset.startswith(_ANY)


def training_device(dataset: str) -> str:
    """The device on which networks for `dataset` train: small networks gain nothing on a GPU."""
    return "cuda" if _is_residual(dataset) and torch.cuda.is_available() else "cpu"


@dataclass(frozen=True)
class Regime:
    """A way to train: epochs, the seed of the order, learning rate, batch size and device.

    Inputs are changed by the `augmentation` each time; by default they stay as they are.
    """

    epochs: int
    seed: int
    rate: float = 2e-3
    batch: int = 64
    device: str = "cpu"
    augmentation: Augmentation = UNCHANGED


def train_network(
    network: nn.Module,
    inputs: Images,
    targets: NDArray[np.generic],
    regime: Regime,
    *,
    keep: Callable[[nn.Module], float] | None = None,
    on_epoch: OnEpoch = lambda _done, _all: None,
) -> nn.Module:
    """Train by cross entropy on `targets`: labels (N,) int64 or probabilities (N, C) float32.

    The rate falls to 0 along a cosine. With `keep`, the network gets the weights of the epoch
    for which `keep` is largest (the last of equals), else those of the last epoch. It is
    returned on the CPU.
    """
    generator = torch.Generator().manual_seed(regime.seed)
    network.to(regime.device)
    x = torch.from_numpy(inputs).to(regime.device)
    t = torch.from_numpy(np.ascontiguousarray(targets)).to(regime.device)
    if inputs.ndim == 4:
        set_memory_format(network, torch.channels_last)
        x = with_channels_last(x)
    optimizer = torch.optim.Adam(network.parameters(), lr=regime.rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, regime.epochs)
    best, best_score = None, -np.inf
    for epoch in range(regime.epochs):
        for rows in torch.split(torch.randperm(len(x), generator=generator), regime.batch):
            batch = with_channels_last(regime.augmentation(x[rows], generator))
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(network(batch), t[rows]))
            optimizer.step()
        schedule.step()
        # The later of two equals has trained longer, and few held-out answers often tie.
        if keep is not None and (score := keep(network)) >= best_score:
            best_score = score
            best = {name: value.clone() for name, value in network.state_dict().items()}
        on_epoch(epoch + 1, regime.epochs)
    if best is not None:
        network.load_state_dict(best)
    return network.to("cpu")


def with_channels_last(inputs: Tensor) -> Tensor:
    """The same inputs; images with their channels last, on which CPU kernels are a third faster."""
    if inputs.ndim != 4:
        return inputs
    return inputs.contiguous(memory_format=torch.channels_last)


def set_memory_format(network: nn.Module, memory_format: torch.memory_format) -> None:
    """Lay the weights of convolutions out in this memory format; their values stay."""
    for parameter in network.parameters():
        if parameter.dim() == 4:
            # Not `contiguous`, which leaves the strides of one channel: other kernels would run,
            # and the same seed would give other weights.
            parameter.data = parameter.data.to(memory_format=memory_format)


def predict(network: nn.Module, inputs: Images, batch: int = 512) -> Labels:
    """Predicted labels (N,) of inputs (N, ...)."""
    with torch.inference_mode():
        device = next(network.parameters()).device
        parts = [network(part.to(device)).argmax(dim=1) for part in _parts(inputs, batch)]
    return torch.cat(parts).cpu().numpy()


def accuracy(network: nn.Module, inputs: Images, labels: Labels) -> float:
    """Share of inputs (N, ...) that get their label (N,)."""
    return float((predict(network, inputs) == labels).mean())


def export_onnx(network: nn.Module, sample: Images, path: Path) -> None:
    """Write the network as ONNX, input `image` and output `logits`, any batch size.

    `sample` (1 or more, ...) gives the shape.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    set_memory_format(network, torch.contiguous_format)
    # The exporter prints and warns about itself, not about this model.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (torch.from_numpy(sample[:2]),),
            str(path),
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
            dynamo=False,
        )


def _parts(inputs: Images, batch: int) -> list[Tensor]:
    return list(torch.split(torch.from_numpy(np.ascontiguousarray(inputs)), batch))
