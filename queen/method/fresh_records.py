"""What one batch adds to a ledger, which its next rows are compared with."""

from __future__ import annotations

import math

import numpy as np

from queen.method.geometry import FloatArray


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
            self._points = np.concatenate([self._points, np.empty_like(self._points)])
        self._points[self._count] = embedding
        self._count += 1
