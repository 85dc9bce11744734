"""Copies of an image that a person would call the same."""

from __future__ import annotations

import numpy as np

from queen.redteam.attacks.parts.copies import look_alikes, mean_answers


def test_look_alikes_move_by_a_pixel():
    """Copies stay in [0, 1], keep their shape, and shift where there are pixels to shift."""
    images = np.zeros((64, 1, 28, 28), np.float32)
    images[:, :, 14, 14] = 1
    copies = look_alikes(images, np.random.default_rng(0))
    assert copies.shape == images.shape
    assert copies.dtype == np.float32
    assert copies.min() >= 0
    assert copies.max() <= 1
    places = np.unique(copies.reshape(64, -1).argmax(axis=1))
    assert set(places) <= {28 * row + column for row in (13, 14, 15) for column in (13, 14, 15)}
    assert len(places) > 5


def test_a_mean_is_of_the_copies_that_were_answered():
    """A refused copy takes no part; an image whose copies were all refused has no answer."""
    none = [np.nan, np.nan]
    answers = np.array([[[0.2, 0.8], [0.4, 0.6], none], [[0.4, 0.6], none, none]], np.float32)
    mean = mean_answers(answers)
    np.testing.assert_allclose(mean[:2], [[0.3, 0.7], [0.4, 0.6]], rtol=1e-6)
    assert np.isnan(mean[2]).all()
    assert mean_answers(answers[:, :1]).tobytes() == answers[:, :1].mean(axis=0).tobytes()
