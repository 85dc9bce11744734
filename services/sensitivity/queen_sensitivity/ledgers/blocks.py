"""One growing array, handed out in blocks of 2^k rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GROWTH = 1.5


class Blocks:
    """Blocks of `rows` (N, ...): a block is taken by its size, and given back for others.

    A block that is taken holds `fill` everywhere. `rows` is another array after a `take`
    for which there was no room.
    """

    def __init__(self, shape: tuple[int, ...], fill: float) -> None:
        self._shape = shape
        self._fill = fill
        self._used = 0
        self._free: dict[int, list[int]] = {}
        self.rows: NDArray[np.float32] = np.empty((16, *shape), np.float32)

    def take(self, size: int) -> int:
        """First row of a block of `size` rows, a power of two."""
        larger = size
        while larger <= self._used:
            starts = self._free.get(larger)
            if starts:
                start = starts.pop()
                while larger > size:
                    larger //= 2
                    self._free.setdefault(larger, []).append(start + larger)
                return start
            larger *= 2
        start = self._used
        self._used += size
        if self._used > len(self.rows):
            self._grow()
        # Not before: what nobody has taken stays out of memory.
        self.rows[start : self._used] = self._fill
        return start

    def give(self, start: int, size: int) -> None:
        """Take back a block."""
        self.rows[start : start + size] = self._fill
        self._free.setdefault(size, []).append(start)

    def _grow(self) -> None:
        larger = np.empty((int(_GROWTH * self._used), *self._shape), np.float32)
        larger[: len(self.rows)] = self.rows
        self.rows = larger
