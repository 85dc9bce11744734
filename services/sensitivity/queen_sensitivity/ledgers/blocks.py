"""A buddy-style allocator over a growing array: blocks of 2^k rows are allocated and freed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from queen.method.growing import grown

_GROWTH = 1.5


class Blocks:
    """Blocks of `rows` (N, ...) by their first row and their size.

    A block that was just allocated holds `fill` everywhere. `rows` is another array after an
    `allocate` for which there was no room.
    """

    def __init__(self, shape: tuple[int, ...], fill: float) -> None:
        self._fill = fill
        self._used = 0
        self._free: dict[int, list[int]] = {}
        self.rows: NDArray[np.float32] = np.empty((16, *shape), np.float32)

    def allocate(self, size: int) -> int:
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
            self.rows = grown(self.rows, int(_GROWTH * self._used))
        # Not before: rows that were never allocated stay out of memory.
        self.rows[start : self._used] = self._fill
        return start

    def free(self, start: int, size: int) -> None:
        """Have a block's rows allocated again."""
        self.rows[start : start + size] = self._fill
        self._free.setdefault(size, []).append(start)
