"""The records of all ledgers in memory, by number, in arrays that a batch reads at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray
from queen.method.growing import grown
from queen_sensitivity.ledger_store import Records

NO_LEDGER = 0
"""Number of the ledger without a record: that of every owner in every class at first."""

Numbers = NDArray[np.integer]


class LedgerTable:
    """Ledgers by number: `version` (N,) records each, whose weights sum to `cqs` (N,).

    cqs is computed in memory and never stored, so that it cannot drift from the records. A number
    is used again once its ledger is closed. `total` counts the records of all ledgers.
    """

    def __init__(self, embedding_width: int) -> None:
        self._blocks = Blocks((embedding_width,), 0.0)
        self._free: list[int] = []
        self._opened = 1
        self._first = np.zeros(64, np.int64)
        self._room = np.zeros(64, np.int64)
        self.version = np.zeros(64, np.int64)
        self.label = np.zeros(64, np.int64)
        self.cqs = np.zeros(64)
        self.total = 0

    @property
    def capacity(self) -> int:
        """Length of the table: all numbers of ledgers are below it."""
        return len(self.version)

    def open(self, label: int) -> int:
        """Number of a new ledger of a class, without records."""
        if not self._free:
            if self._opened == self.capacity:
                self._grow()
            self._free.append(self._opened)
            self._opened += 1
        ledger = self._free.pop()
        self.label[ledger] = label
        return ledger

    def close(self, numbers: Sequence[int]) -> None:
        """Forget ledgers."""
        for ledger in numbers:
            if self._room[ledger]:
                self._blocks.free(int(self._first[ledger]), int(self._room[ledger]))
            self.total -= int(self.version[ledger])
            self._room[ledger] = self.version[ledger] = 0
            self.cqs[ledger] = 0.0
        self._free += numbers

    def records(self, ledger: int) -> Records:
        """Records (M, E) of a ledger, in the order they were recorded; a copy."""
        first = self._first[ledger]
        return self._blocks.rows[first : first + self.version[ledger]].copy()

    def end(self, ledger: int) -> Records:
        """The last record of a ledger (1, E), (0, E) if it has none; a view, to be read at once."""
        last = self._first[ledger] + self.version[ledger]
        return self._blocks.rows[last - min(1, self.version[ledger]) : last]

    def extend(
        self, numbers: Numbers, counts: Numbers, records: Records, weights: FloatArray
    ) -> None:
        """Append `records` (R, E) with their `weights` (R,), `counts` (L,) to each ledger in turn.

        `numbers` (L,) are distinct.
        """
        before = self.version[numbers]
        for index in np.flatnonzero(before + counts > self._room[numbers]).tolist():
            self._reserve(int(numbers[index]), int(before[index] + counts[index]))
        passed = np.cumsum(counts) - counts
        rows = np.repeat(self._first[numbers] + before - passed, counts) + np.arange(len(records))
        self._blocks.rows[rows] = records
        self.version[numbers] = before + counts
        self.total += len(records)
        # The weights are added in order, so that the same records give the same bits in any
        # batches.
        np.add.at(self.cqs, np.repeat(numbers, counts), weights)

    def _reserve(self, ledger: int, count: int) -> None:
        room, held = int(self._room[ledger]), int(self.version[ledger])
        larger = 1 << (count - 1).bit_length()
        first = self._blocks.allocate(larger)
        rows, old = self._blocks.rows, int(self._first[ledger])
        rows[first : first + held] = rows[old : old + held]
        if room:
            self._blocks.free(old, room)
        self._first[ledger], self._room[ledger] = first, larger

    def _grow(self) -> None:
        larger = 2 * self.capacity
        for name in ("_first", "_room", "version", "label", "cqs"):
            setattr(self, name, grown(getattr(self, name), larger))


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
        # The block is filled only now, so that rows that were never allocated stay out of memory.
        self.rows[start : self._used] = self._fill
        return start

    def free(self, start: int, size: int) -> None:
        """Free a block, so that its rows can be allocated again."""
        self.rows[start : start + size] = self._fill
        self._free.setdefault(size, []).append(start)
