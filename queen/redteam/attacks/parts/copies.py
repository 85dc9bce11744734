"""Several copies of one image: a thief compares or averages the answers to them.

Every copy is charged, so R copies of each leave room for Q / R images.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from queen.redteam.attacks.base import Thief, ask_spread
from queen.redteam.augmentation import shifted
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers, MeteredTarget

_SHIFT = 1
_NOISE = 0.03


def affordable(thief: Thief, copies: int) -> Images:
    """The first images of the stream that can be paid for, `copies` R of each, (Q / R, ...)."""
    return thief.stream[: thief.queries // copies]


def ask_copies(target: MeteredTarget, rounds: Iterable[Images], thief: Thief) -> Answers:
    """Answers (R, Q, C) to R rounds of copies (Q, ...), one round after the other.

    All the copies of an image go to one account: accounts that share an image can be linked.
    """
    return np.stack([ask_spread(target, images, thief.accounts) for images in rounds])


def mean_answers(answers: Answers) -> Answers:
    """Mean (Q, C) of the answers (R, Q, C) to the copies that were not refused.

    NaN for an image all of whose copies were refused.
    """
    is_known = np.isfinite(answers).all(axis=2, keepdims=True)
    with np.errstate(invalid="ignore"):
        mean: Answers = np.where(is_known, answers, 0).sum(axis=0) / is_known.sum(axis=0)
    return mean.astype(np.float32)


def look_alikes(images: Images, rng: np.random.Generator) -> Images:
    """A copy of each image in [0, 1], (N, ...), that looks the same to a person.

    Noise of standard deviation 0.03; images with axes (N, channels, height, width) are also
    shifted by at most one pixel each way, their edge repeated.
    """
    moved = _shifted(images, rng) if images.ndim == 4 else images
    noisy = moved + _NOISE * rng.normal(size=images.shape)
    return np.clip(noisy, 0.0, 1.0).astype(np.float32)


def _shifted(images: Images, rng: np.random.Generator) -> Images:
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    moved: Images = shifted(torch.from_numpy(images), _SHIFT, generator).numpy()
    return moved
