"""Arrays that get more room at their end."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def grown(array: NDArray[Any], length: int, fill: float = 0) -> NDArray[Any]:
    """A copy of `array` (N, ...) with `length` >= N rows, the new rows all `fill`.

    Rows of zeros stay out of memory until they are written.
    """
    shape = (length, *array.shape[1:])
    longer = np.full(shape, fill, array.dtype) if fill else np.zeros(shape, array.dtype)
    longer[: len(array)] = array
    return longer
