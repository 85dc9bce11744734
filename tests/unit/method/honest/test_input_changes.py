from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from queen.method.honest.input_changes import InputChanges

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0.2, 1.0, (200, 3, 8, 8)).astype(np.float32)
VECTORS = RNG.normal(size=(200, 5)).astype(np.float32) * np.array([1, 10, 100, 0, 1], np.float32)


def test_slight_changes_are_in_proportion_to_the_spread() -> None:
    """Each feature of a vector moves by a hundredth of its spread; one that is constant stays."""
    moved = InputChanges(VECTORS).slight(VECTORS, np.random.default_rng(1)) - VECTORS
    assert moved.std(axis=0) == pytest.approx(0.01 * VECTORS.std(axis=0), rel=0.2)


def test_images_stay_images() -> None:
    """Pixels keep their range and their type, floating-point or bytes."""
    for images in (IMAGES, np.rint(255 * IMAGES).astype(np.uint8)):
        changes = InputChanges(images)
        for changed in (
            changes.slight(images, np.random.default_rng(1)),
            changes.drifted(images, np.ones(len(images)), np.random.default_rng(1)),
        ):
            assert changed.dtype == images.dtype
            assert images.min() <= changed.min()
            assert changed.max() <= images.max()
            assert not np.array_equal(changed, images)


@pytest.mark.parametrize("samples", [IMAGES, VECTORS])
def test_a_drift_begins_with_the_samples_and_grows(samples: NDArray[np.float32]) -> None:
    """At progress 0 nothing is changed; at 1 more than at a half."""
    changes = InputChanges(samples)
    moved = [
        float(
            np.abs(
                changes.drifted(
                    samples, np.full(len(samples), progress), np.random.default_rng(1)
                ).astype(np.float64)
                - samples
            ).mean()
        )
        for progress in (0.0, 0.5, 1.0)
    ]
    assert moved[0] == pytest.approx(0.0, abs=1e-6)
    assert 0 < moved[1] < moved[2]


def test_integers_that_are_no_images_cannot_change() -> None:
    """Tokens and categories have no neighbors."""
    tokens = RNG.integers(0, 100, (20, 7))
    changes = InputChanges(tokens)
    assert not changes.can_change
    assert changes.drifted(tokens, np.ones(20), np.random.default_rng(0)) is tokens
    assert InputChanges(VECTORS).can_change
