"""The records that a batch adds to a ledger: later rows of the batch are compared with them."""

from __future__ import annotations

import math

import numpy as np

from queen.method.geometry import FloatArray
from queen.method.growing import grown


class FreshRecords:
    """Points of one ledger, in an array that doubles when it is full."""

    def __init__(self, embedding_width: int) -> None:
        self._points = np.empty((8, embedding_width))
        self._count = 0

    def cover(self, embedding: FloatArray, radius: float) -> bool:
        """Whether a record lies within `radius` of `embedding` (E,)."""
        if not self._count:
            return False
        offset = self._points[: self._count] - embedding
        return math.sqrt(np.einsum("me,me->m", offset, offset).min()) <= radius

    def append(self, embedding: FloatArray) -> None:
        """Keep `embedding` (E,)."""
        if self._count == len(self._points):
            self._points = grown(self._points, 2 * self._count)
        self._points[self._count] = embedding
        self._count += 1
