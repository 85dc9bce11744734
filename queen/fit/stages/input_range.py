"""Stage: find the bounds of the inputs in the training set.

Shapes: N samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from queen.bundle.input_range import InputRange, channel_extremes
from queen.errors import FitError
from queen.fit.fitted import Fitted
from queen.fit.options import NO_RANGE
from queen.method.honest.input_changes import image_channels

LEAST_SHARE = 1e-3
"""Least share of a channel's numbers that lie exactly on a bound."""
LEAST_SAMPLES, FEWEST_SAMPLES = 1e-2, 10
"""Least share and fewest of the samples that hold such a number."""
LEAST_OF_LEVEL = 0.25
"""Least share on a bound, in mean shares of the levels between the bounds."""
ROUNDING = 1 / 256
"""Share of the narrowest channel's range by which a number may pass a bound."""
_LEVEL_SAMPLES = 2048


def fit_input_range(fitted: Fitted) -> InputRange | None:
    """The bounds that are stated, or those that the training images show; None without any.

    The sensor or the file format of images has bounds, and numbers pile up on them. What is scaled
    to its own extremes touches these now and then, and counts thin out toward theirs: neither is a
    bound. Inputs that are no images mix columns of many kinds, so their bounds have to be stated.
    Raises FitError for training data beyond the stated bounds.
    """
    stated, samples = fitted.options.input_range, fitted.samples.x
    if stated == NO_RANGE or samples.dtype.kind == "b":
        return None
    if isinstance(stated, tuple):
        return _stated(stated, samples)
    axis = image_channels(samples.shape)
    return None if axis is None else find_bounds(samples, axis)


def find_bounds(samples: NDArray[Any], channel_axis: int) -> InputRange | None:
    """Bounds on which numbers of the samples (N, ...) pile up, channel by channel."""
    smallest, largest = channel_extremes(samples, channel_axis)
    low, high = smallest.min(axis=0), largest.max(axis=0)
    channels = np.moveaxis(samples, channel_axis, 0)
    is_low = [_piles_up(*parts) for parts in zip(channels, smallest.T, low, strict=True)]
    is_high = [_piles_up(*parts) for parts in zip(channels, largest.T, high, strict=True)]
    if not any(is_low) and not any(is_high):
        return None
    return InputRange(
        channel_axis=channel_axis,
        low=_where(is_low, low),
        high=_where(is_high, high),
        tolerance=_tolerance(float((high - low).min()), samples.dtype),
    )


def _piles_up(channel: NDArray[Any], extremes: NDArray[np.float64], bound: float) -> bool:
    """Whether numbers of a channel (N, ...) pile up on its bound; `extremes` (N,) on that side."""
    if (extremes == bound).sum() < max(FEWEST_SAMPLES, LEAST_SAMPLES * len(extremes)):
        return False
    part = channel[:: max(1, len(channel) // _LEVEL_SAMPLES)]
    share = float((part == bound).mean())
    levels, counts = np.unique(part, return_counts=True)
    between = counts[(levels > part.min()) & (levels < part.max())] / part.size
    mean_level = float(between.mean()) if len(between) else 0.0
    return share >= LEAST_SHARE and share >= LEAST_OF_LEVEL * mean_level


def _stated(bounds: tuple[float, float], samples: NDArray[Any]) -> InputRange:
    low, high = bounds
    stated = InputRange(low=[low], high=[high], tolerance=_tolerance(high - low, samples.dtype))
    outside = int((~stated.has_inside(samples)).sum())
    if outside:
        raise FitError(
            f"expected training inputs {stated.describe()}, got {outside} of {len(samples)} with "
            f"numbers beyond, which go from {samples.min():g} to {samples.max():g}; state their "
            "range with --input-range LOW,HIGH, or off"
        )
    return stated


def _tolerance(width: float, dtype: np.dtype[Any]) -> float:
    return ROUNDING * width if dtype.kind == "f" else 0.0


def _where(are_hard: list[bool], bounds: NDArray[np.float64]) -> list[float | None]:
    return [
        float(bound) if is_hard else None for is_hard, bound in zip(are_hard, bounds, strict=True)
    ]
