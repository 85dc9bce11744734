"""Pools have the shape of the data and their own distance from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from queen.errors import ConfigError
from queen.redteam.datasets import Split, load_digits_split
from queen.redteam.pools import POOLS, draw_pool
from tests.unit.redteam.idx_files import write_idx_set


@pytest.fixture(scope="module")
def images() -> Split:
    """A small split of images with one bright pixel each, all different."""
    x = np.zeros((60, 1, 8, 8), np.float32)
    x.reshape(60, -1)[np.arange(60), np.arange(60)] = 1.0
    y = np.arange(20) % 10
    return Split("fashion-mnist", ("a",) * 10, x[:20], y, x[20:40], y, x[40:], y)


@pytest.mark.parametrize("name", POOLS)
def test_a_pool_of_digits_looks_like_digits(name: str):
    """Shape, type and range are those of the data, and a seed names an order."""
    split = load_digits_split(0)
    pool = draw_pool(name, split, 0)
    assert pool.shape[1:] == split.pool_x.shape[1:]
    assert pool.dtype == np.float32
    assert pool.min() >= 0.0
    assert pool.max() <= 1.0
    assert np.array_equal(pool, draw_pool(name, split, 0))
    assert not np.array_equal(pool, draw_pool(name, split, 1))


def test_the_usual_pool_is_the_half_that_nobody_trained_on(images: Split):
    """It is a permutation of the pool: no training image, no test image."""
    pool = draw_pool("in-distribution", images, 0)
    assert {row.tobytes() for row in pool} == {row.tobytes() for row in images.pool_x}


def test_a_shift_moves_pixels_and_loses_none(images: Split):
    """Every image keeps its one bright pixel, most of them elsewhere."""
    pool = draw_pool("shift", images, 0)
    assert np.array_equal(pool.sum(axis=(1, 2, 3)), np.ones(20))
    same = {row.tobytes() for row in images.pool_x}
    assert sum(row.tobytes() in same for row in pool) < 15


def test_a_mixture_is_of_two_images(images: Split):
    """Pixels sum to those of an image, and neither share is small."""
    pool = draw_pool("mixup", images, 0)
    np.testing.assert_allclose(pool.sum(axis=(1, 2, 3)), 1.0, rtol=1e-6)
    brightest = pool.max(axis=(1, 2, 3))
    assert ((brightest <= 0.75) | (brightest > 0.999)).all()


def test_another_set_of_the_same_shape(images: Split, tmp_path: Path):
    """Off-distribution images of Fashion-MNIST come from the folder of MNIST."""
    write_idx_set(tmp_path / "mnist", packed=False)
    pool = draw_pool("off-distribution", images, 0, tmp_path)
    assert pool.shape == (20, 1, 28, 28)


def test_an_unknown_pool_is_named(images: Split):
    """The error lists the pools there are."""
    with pytest.raises(ConfigError, match="in-distribution, mixup"):
        draw_pool("ocean", images, 0)
