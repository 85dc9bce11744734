"""Pools: the unlabeled images of a thief, near the protectee's data or far from it.

Shapes: N images; all pools of a data set have the shape of its images, values in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from queen.errors import ConfigError
from queen.redteam.datasets import Images, Split, jittered_pool, load_images

DIGITS_POOL = 6000
"""Images in a pool of digits: the few of the data set, repeated with noise."""
_SHIFT = 4
_STRONG_NOISE = 0.25
_OTHER = {"fashion-mnist": "mnist", "mnist": "fashion-mnist"}

Make = Callable[[Split, np.random.Generator, Path | None], Images]


def draw_pool(name: str, split: Split, seed: int, data_dir: Path | None = None) -> Images:
    """The pool of that name in a seeded order, (N, ...); ConfigError names the pools.

    No pool holds an image that the protectee trained on, or a test image.
    """
    if name not in POOLS:
        raise ConfigError(f"expected a pool of {', '.join(POOLS)}, got {name}")
    rng = np.random.default_rng([seed, list(POOLS).index(name), 11])
    return np.ascontiguousarray(POOLS[name](split, rng, data_dir), dtype=np.float32)


def _in_distribution(split: Split, rng: np.random.Generator, _data_dir: Path | None) -> Images:
    """The part of the training set that the protectee never saw; digits with noise."""
    if split.name == "digits":
        return jittered_pool(split.pool_x, DIGITS_POOL, rng)
    images: Images = split.pool_x[rng.permutation(len(split.pool_x))]
    return images


def _mixup(split: Split, rng: np.random.Generator, data_dir: Path | None) -> Images:
    """Convex mixtures of two images, with a share of 1/4 to 3/4 each."""
    first = _in_distribution(split, rng, data_dir)
    second = first[rng.permutation(len(first))]
    share = rng.uniform(0.25, 0.75, len(first)).astype(np.float32)
    share = share.reshape(-1, *(1 for _ in first.shape[1:]))
    mixed: Images = share * first + (1 - share) * second
    return mixed


def _shift(split: Split, rng: np.random.Generator, data_dir: Path | None) -> Images:
    """Images rolled by up to 4 pixels each way; digits, of 8 x 8, under strong noise instead."""
    images = _in_distribution(split, rng, data_dir)
    if images.ndim != 4:
        noisy = images + _STRONG_NOISE * rng.normal(size=images.shape)
        return np.clip(noisy, 0.0, 1.0)
    offsets = rng.integers(-_SHIFT, _SHIFT + 1, (len(images), 2))
    moved = np.empty_like(images)
    for down, right in np.unique(offsets, axis=0):
        rows = (offsets == (down, right)).all(axis=1)
        moved[rows] = np.roll(images[rows], (down, right), axis=(2, 3))
    return moved


def _off_distribution(split: Split, rng: np.random.Generator, data_dir: Path | None) -> Images:
    """Another set of the same shape, or images with their pixels permuted."""
    if split.name in _OTHER:
        other = load_images(_OTHER[split.name], data_dir)
        images: Images = other[rng.permutation(len(other))[: len(split.pool_x)]]
        return images
    pool = _in_distribution(split, rng, data_dir)
    flat = pool.reshape(len(pool), -1)
    return flat[:, rng.permutation(flat.shape[1])].reshape(pool.shape)


POOLS: dict[str, Make] = {
    "in-distribution": _in_distribution,
    "mixup": _mixup,
    "shift": _shift,
    "off-distribution": _off_distribution,
}
