"""The range of the protectee's inputs: bounds that no honest input passes.

Shapes: B queries.
"""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from queen.errors import OutOfRange

Bounds = NDArray[np.float64]
Passed = NDArray[np.bool_]


class InputRange(BaseModel):
    """Bounds of each channel of an input; None where a channel has no bound on that side.

    `channel_axis` is the axis of the channels in a batch of inputs. Without it all numbers of an
    input are one channel. A number may pass a bound by `tolerance`, for rounding.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    channel_axis: int | None = Field(default=None, ge=1)
    low: list[float | None] = Field(min_length=1)
    high: list[float | None] = Field(min_length=1)
    tolerance: float = Field(ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _require_bounds(self) -> Self:
        if len(self.low) != len(self.high):
            raise ValueError(
                f"expected as many low as high bounds, got {len(self.low)} and {len(self.high)}"
            )
        if self.channel_axis is None and len(self.low) > 1:
            raise ValueError(f"expected one channel without an axis, got {len(self.low)}")
        for low, high in zip(self.low, self.high, strict=True):
            if not all(math.isfinite(bound) for bound in (low, high) if bound is not None):
                raise ValueError("expected finite bounds, got NaN or infinity")
            if low is not None and high is not None and not low < high:
                raise ValueError(f"expected a low bound below the high one, got {low} and {high}")
        return self

    def has_inside(self, values: NDArray[Any]) -> Passed:
        """Whether each input of `values` (B, ...) lies inside, (B,)."""
        below, above = self._passed(values)
        return np.logical_not((below | above).any(axis=1))

    def require_inside(self, values: NDArray[Any], name: str) -> None:
        """OutOfRange, with the bound and the side, for inputs `values` (B, ...) beyond a bound."""
        for is_passed, side in zip(self._passed(values), ("below", "above"), strict=True):
            channels = np.flatnonzero(is_passed.any(axis=0))
            if len(channels):
                channel = int(channels[0])
                where = f", channel {channel}" if self.channel_axis is not None else ""
                extreme = "smallest" if side == "below" else "largest"
                raise OutOfRange(
                    f"input '{name}'{where}: expected numbers {self._text(channel)}, as in the "
                    f"training data, got a {extreme} number {side}; scale the input as for "
                    "training, and clip it",
                    field="inputs[0]",
                )

    def describe(self) -> str:
        """The bounds in words."""
        texts = [self._text(channel) for channel in range(len(self.low))]
        if self.channel_axis is None or len(set(texts)) == 1:
            return texts[0]
        return "; ".join(f"channel {channel} {text}" for channel, text in enumerate(texts))

    def _text(self, channel: int) -> str:
        low, high = self.low[channel], self.high[channel]
        if low is not None and high is not None:
            return f"from {low:g} to {high:g}"
        if low is not None:
            return f"of at least {low:g}"
        return "without bounds" if high is None else f"of at most {high:g}"

    def _passed(self, values: NDArray[Any]) -> tuple[Passed, Passed]:
        """Whether each channel of each input passes its low and its high bound, (B, channels)."""
        smallest, largest = channel_extremes(values, self.channel_axis)
        low = np.array([-np.inf if bound is None else bound for bound in self.low])
        high = np.array([np.inf if bound is None else bound for bound in self.high])
        # Written so that a NaN lies outside.
        return ~(smallest >= low - self.tolerance), ~(largest <= high + self.tolerance)


def channel_extremes(values: NDArray[Any], channel_axis: int | None) -> tuple[Bounds, Bounds]:
    """The smallest and the largest number of each channel of inputs (B, ...), (B, channels)."""
    if channel_axis is None:
        values, channel_axis = values.reshape(len(values), 1, -1), 1
    rest = tuple(axis for axis in range(1, values.ndim) if axis != channel_axis)
    return values.min(axis=rest).astype(np.float64), values.max(axis=rest).astype(np.float64)
