"""Augmentation: slightly changed inputs of a batch, which keep their answers in training.

Shapes: B inputs of a batch, either images (B, channels, H, W) or vectors (B, D).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True)
class Augmentation:
    """The random changes of an input, drawn for each input anew.

    `shift` is the largest move in pixels each way; `flip` says whether half of the images are
    mirrored; `gain` is the largest share by which the brightness rises or falls; `noise` is a
    standard deviation, in units of the input.
    """

    shift: int = 0
    flip: bool = False
    gain: float = 0.0
    noise: float = 0.0

    def __call__(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        """Changed inputs of the same shape.

        `generator` draws on the CPU, so that a seed draws the same on every device. Vectors of a
        square length are shifted as images of one channel; a flip needs images.
        """
        changed = inputs
        if self.shift:
            changed = shifted(changed, self.shift, generator)
        if self.flip:
            is_mirrored = torch.rand(len(inputs), generator=generator) < 0.5
            mirrored = is_mirrored.to(inputs.device).reshape(-1, 1, 1, 1)
            changed = torch.where(mirrored, changed.flip(-1), changed)
        if self.gain:
            ones = (len(inputs), *(1 for _ in inputs.shape[1:]))
            draw = 2 * torch.rand(ones, generator=generator) - 1
            changed = changed * (1 + self.gain * draw.to(inputs.device))
        if self.noise:
            draw = torch.randn(inputs.shape, generator=generator)
            changed = changed + self.noise * draw.to(inputs.device)
        return changed


UNCHANGED = Augmentation()
"""The augmentation that changes nothing."""


def augmentation_for(dataset: str) -> Augmentation:
    """The augmentation that made the best copies of a data set of `build_network`.

    Data sets that nobody measured get a shift where they are images, and noise where not.
    """
    if dataset in _MEASURED:
        return _MEASURED[dataset]
    is_image = "x" in dataset
    return Augmentation(shift=1, gain=0.2) if is_image else Augmentation(noise=0.05)


_MEASURED = {
    "digits": Augmentation(gain=0.3, noise=0.1),
    "fashion-mnist": Augmentation(shift=1, gain=0.2),
    "mnist": Augmentation(shift=1, gain=0.2),
    "cifar10": Augmentation(shift=4, flip=True, gain=0.2),
}


def shifted(inputs: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Inputs moved by up to `most` pixels each way, their edge repeated; as `Augmentation` says."""
    if inputs.ndim == 2:
        side = math.isqrt(inputs.shape[1])
        return shifted(inputs.reshape(-1, 1, side, side), most, generator).reshape(inputs.shape)
    count, channels, height, width = inputs.shape
    padded = pad(inputs, (most, most, most, most), mode="replicate")
    offsets = torch.randint(0, 2 * most + 1, (2, count, 1), generator=generator)
    rows = (offsets[0] + torch.arange(height)).reshape(count, 1, height, 1)
    columns = (offsets[1] + torch.arange(width)).reshape(count, 1, 1, width)
    images = torch.arange(count).reshape(count, 1, 1, 1)
    return padded[images, torch.arange(channels).reshape(1, channels, 1, 1), rows, columns]
