"""Changes to the inputs of honest traffic: the same item another time, and a slow drift.

Shapes: N samples, Q queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class InputChanges:
    """Changes to the inputs of honest traffic, in proportion to the spread of `samples` (N, ...).

    Images (channels first or last) get noise and another gain; other floating-point inputs noise
    in proportion to each feature's spread. Integers that are no images may be names of things
    (tokens, categories), which have no neighbors: they stay as they are.
    """

    NOISE = 0.01
    """Standard deviation of slight noise, in spreads: about a gray level of an image."""
    GAIN = 0.02
    """Largest slight change of an image's gain."""
    DRIFTED_GAIN = 0.15
    """Loss of an image's gain at the end of a drift."""
    DRIFTED_NOISE = 0.1
    """Noise of an image at the end of a drift, in spreads."""
    DRIFTED_SHIFT = 0.25
    """Shift of other inputs at the end of a drift, in spreads, up or down by feature."""

    def __init__(self, samples: NDArray[Any]) -> None:
        self._dtype = samples.dtype
        self._is_image = image_channels(samples.shape) is not None
        wide = samples.astype(np.float32)
        self._low, self._high = float(wide.min()), float(wide.max())
        self._spread = wide.std(axis=None if self._is_image else 0, dtype=np.float64)
        self._signs = np.random.default_rng(0).choice([-1.0, 1.0], samples.shape[1:])

    @property
    def can_change(self) -> bool:
        """Whether a slightly changed input is an input."""
        return bool(np.issubdtype(self._dtype, np.floating) or self._is_image)

    def slight(self, inputs: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """Inputs (Q, ...) as the same items look another time."""
        if not self.can_change:
            return inputs
        changed = inputs.astype(np.float32)
        if self._is_image:
            changed = self._dimmed(changed, rng.uniform(-self.GAIN, self.GAIN, len(inputs)))
        noise = rng.standard_normal(changed.shape, np.float32)
        return self._as_inputs(changed + self.NOISE * self._spread * noise)

    def drifted(
        self, inputs: NDArray[Any], progress: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[Any]:
        """Inputs (Q, ...) at `progress` (Q,) of the drift, 0 to 1."""
        if not self.can_change:
            return inputs
        changed, share = inputs.astype(np.float32), _broadcast(progress, inputs)
        if self._is_image:
            noise = rng.standard_normal(changed.shape, np.float32)
            changed = self._dimmed(changed, self.DRIFTED_GAIN * progress)
            return self._as_inputs(changed + share * self.DRIFTED_NOISE * self._spread * noise)
        return self._as_inputs(changed + share * self.DRIFTED_SHIFT * self._spread * self._signs)

    def _dimmed(self, images: NDArray[Any], loss: NDArray[np.float64]) -> NDArray[Any]:
        dimmed: NDArray[Any] = self._low + (1 - _broadcast(loss, images)) * (images - self._low)
        return dimmed

    def _as_inputs(self, values: NDArray[Any]) -> NDArray[Any]:
        if self._is_image:
            values = np.clip(values, self._low, self._high)
        if np.issubdtype(self._dtype, np.integer):
            values = np.rint(values)
        return values.astype(self._dtype)


_CHANNELS = {1, 3, 4}


def image_channels(shape: Sequence[int]) -> int | None:
    """The axis of the channels of images (N, ...) of that shape; None for what is no image.

    Images have 1, 3 or 4 channels, first or last.
    """
    axes = [axis for axis in (1, 3) if len(shape) == 4 and shape[axis] in _CHANNELS]
    return min(axes, key=lambda axis: shape[axis], default=None)


def _broadcast(numbers: NDArray[np.float64], inputs: NDArray[Any]) -> NDArray[Any]:
    """A number for each input (Q,), in a shape that multiplies inputs (Q, ...)."""
    return numbers.reshape(-1, *(1 for _ in inputs.shape[1:]))
