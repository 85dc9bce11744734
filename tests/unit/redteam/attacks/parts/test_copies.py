"""Copies of an image that a person would call the same."""

from __future__ import annotations

import numpy as np

from queen.redteam.attacks.parts.copies import augmented


def test_augmented_images_move_by_a_pixel():
    """Copies stay in [0, 1], keep their shape, and shift where there are pixels to shift."""
    images = np.zeros((64, 1, 28, 28), np.float32)
    images[:, :, 14, 14] = 1
    copies = augmented(images, np.random.default_rng(0))
    assert copies.shape == images.shape
    assert copies.dtype == np.float32
    assert copies.min() >= 0
    assert copies.max() <= 1
    places = np.unique(copies.reshape(64, -1).argmax(axis=1))
    assert set(places) <= {28 * row + column for row in (13, 14, 15) for column in (13, 14, 15)}
    assert len(places) > 5
