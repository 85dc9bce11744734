"""The training sets that have bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from queen.bundle import InputRange
from queen.errors import FitError
from queen.fit.fitted import Fitted
from queen.fit.stages.input_range import ROUNDING, fit_input_range
from queen.fit.training_set import TrainingSet
from tests.unit.fit.blobs import blobs
from tests.unit.fit.fitted import answered

RNG = np.random.default_rng(3)
PHOTOS = np.clip(RNG.normal(0.5, 0.3, (400, 3, 12, 12)), 0, 1).astype(np.float32)
"""Images that a sensor has cut off on both sides."""
MEAN = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]


def bounds_of(samples: np.ndarray, **options: Any) -> InputRange | None:
    """The bounds that a fit finds in samples (N, ...)."""
    fitted: Fitted = answered(*blobs(), **options)
    fitted.samples = TrainingSet(samples, np.zeros(len(samples), np.int64))
    return fit_input_range(fitted)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
def test_pixels_have_bounds(dtype: str) -> None:
    """Numbers pile up on black and on white; rounding may pass by a gray level."""
    bounds = bounds_of(PHOTOS.astype(dtype))
    assert bounds is not None
    assert (bounds.channel_axis, bounds.low, bounds.high) == (1, [0.0] * 3, [1.0] * 3)
    assert bounds.tolerance == ROUNDING
    assert bounds.has_inside(PHOTOS).all()
    assert not bounds.has_inside(1.5 * PHOTOS).any()


def test_channels_may_be_last() -> None:
    """TensorFlow has them in that order."""
    bounds = bounds_of(np.moveaxis(PHOTOS, 1, 3))
    assert bounds is not None
    assert (bounds.channel_axis, bounds.low, bounds.high) == (3, [0.0] * 3, [1.0] * 3)


def test_normalized_pixels_have_bounds_by_channel() -> None:
    """Mean and deviation differ by channel, so that white in one is above white in another."""
    normalized = (PHOTOS - MEAN) / DEVIATION
    bounds = bounds_of(normalized)
    assert bounds is not None
    white = ((1 - MEAN) / DEVIATION).ravel()
    assert bounds.high == pytest.approx(white.tolist(), rel=1e-6)
    brighter = normalized.copy()
    # White of the last channel in the first one: inside of what all channels together hold.
    brighter[:, 0] = white[2]
    assert brighter.max() <= normalized.max()
    assert not bounds.has_inside(brighter).any()
    again = ((PHOTOS.astype(np.float16) - MEAN) / DEVIATION).astype(np.float16)
    assert bounds.has_inside(again).all()


def test_an_integer_image_has_exact_bounds() -> None:
    """Sixteen gray levels in a type that could hold more."""
    bounds = bounds_of(np.rint(16 * PHOTOS).astype(np.int32))
    assert bounds is not None
    assert (bounds.low, bounds.high, bounds.tolerance) == ([0.0] * 3, [16.0] * 3, 0.0)


def test_one_side_alone_may_be_bounded() -> None:
    """Exposure has a black and no white."""
    bounds = bounds_of(RNG.exponential(1, PHOTOS.shape) * (PHOTOS > 0.3))
    assert bounds is not None
    assert (bounds.low, bounds.high) == ([0.0] * 3, [None] * 3)
    assert bounds.has_inside(np.full((1, 3, 12, 12), 1e9)).all()


def _scaled_to_its_extremes(samples: np.ndarray) -> np.ndarray:
    low, high = samples.min(axis=0), samples.max(axis=0)
    return ((samples - low) / (high - low)).astype(np.float32)


UNBOUNDED = {
    "standardized columns": RNG.normal(size=(400, 9)).astype(np.float32),
    "columns scaled to their extremes, and flags": np.concatenate(
        [
            _scaled_to_its_extremes(RNG.normal(size=(400, 4))),
            RNG.integers(0, 2, (400, 8)).astype(np.float32),
        ],
        axis=1,
    ),
    "images that nothing cuts off": RNG.normal(size=(400, 1, 12, 12)).astype(np.float32),
    "one white image": np.concatenate(
        [RNG.uniform(0.1, 0.9, (400, 1, 12, 12)), np.ones((1, 1, 12, 12)), np.zeros((1, 1, 12, 12))]
    ).astype(np.float32),
    "truth values": RNG.integers(0, 2, (400, 1, 12, 12)).astype(np.bool_),
}


@pytest.mark.parametrize("kind", UNBOUNDED)
def test_what_may_be_exceeded_tomorrow_is_no_bound(kind: str) -> None:
    """An honest query that is the first of its kind must not be refused."""
    assert bounds_of(UNBOUNDED[kind]) is None


def test_the_largest_count_is_no_bound() -> None:
    """Hundreds of numbers may equal it: it is rare beside the counts below. Zero is a bound."""
    bounds = bounds_of(np.minimum(RNG.poisson(1.0, (400, 1, 12, 12)), 5).astype(np.float32))
    assert bounds is not None
    assert (bounds.low, bounds.high) == ([0.0], [None])


def test_bounds_can_be_stated_and_switched_off() -> None:
    """Of inputs of any form; off wins over what the data show."""
    columns = RNG.uniform(0, 1, (50, 7)).astype(np.float32)
    stated = bounds_of(columns, input_range=(0.0, 1.0))
    assert stated == InputRange(low=[0.0], high=[1.0], tolerance=ROUNDING)
    whole = bounds_of(np.rint(10 * columns).astype(np.int64), input_range=(0.0, 10.0))
    assert whole == InputRange(low=[0.0], high=[10.0], tolerance=0.0)
    assert bounds_of(PHOTOS, input_range="off") is None


def test_stated_bounds_must_hold_the_training_set() -> None:
    """A range that the model itself never knew would refuse honest requests."""
    columns = np.array([[0.0, 0.5], [1.5, 0.5], [0.25, 0.5]], np.float32)
    with pytest.raises(FitError, match=r"inputs from 0 to 1, got 1 of 3 .* from 0 to 1.5"):
        bounds_of(columns, input_range=(0.0, 1.0))
