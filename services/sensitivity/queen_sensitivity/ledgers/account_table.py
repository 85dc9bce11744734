"""What every batch asks of its accounts, by slot, in arrays that a whole batch reads at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NOBODY = 0
"""Slot of an account that is not in memory: it has no ledger, and nothing is due."""
_UNKNOWN = -1

Slots = NDArray[np.int64]


class AccountTable:
    """Accounts by slot: N of them, C classes.

    `numbers` (N, C) are those of their ledgers in the ledger table. `level` and `peak` (N,) are
    those of their off-distribution meters; `is_crossed` (N,) says whether a class is over its
    threshold, with the thresholds of the budget `judged` (N,). About an account that is over,
    or in doubt, the store is to be asked again at `due` (N,) seconds; about others never.
    """

    def __init__(self, classes: int, limit: float, recheck_seconds: float) -> None:
        self.classes = classes
        self._limit = limit
        self._recheck_seconds = recheck_seconds
        self._free: list[int] = []
        self._opened = 1
        self.numbers = np.zeros((64, classes), np.int32)
        self.level = np.zeros(64)
        self.peak = np.zeros(64)
        self.is_crossed = np.zeros(64, np.bool_)
        self.judged = np.full(64, _UNKNOWN, np.int64)
        self.is_in_doubt = np.zeros(64, np.bool_)
        self.checked_at = np.zeros(64)
        self.due = np.full(64, np.inf)
        self.used = np.zeros(64, np.int64)
        """When the account last asked, in takes of the cache."""
        self.peaks_changed = 0
        """How often a peak changed, so that whoever looked at peaks knows whether to look again."""

    def open(self) -> int:
        """Slot of a new account, of which nothing is known."""
        if not self._free:
            if self._opened == len(self.level):
                self._grow()
            self._free.append(self._opened)
            self._opened += 1
        return self._free.pop()

    def close(self, slot: int) -> None:
        """Forget an account."""
        self.numbers[slot] = 0
        self.level[slot] = self.peak[slot] = self.checked_at[slot] = 0.0
        self.is_crossed[slot] = self.is_in_doubt[slot] = False
        self.judged[slot] = _UNKNOWN
        self.due[slot] = np.inf
        self._free.append(slot)

    def ledgers(self, slot: int) -> dict[int, int]:
        """Numbers of an account's ledgers by class."""
        row = self.numbers[slot]
        labels = row.nonzero()[0]
        return dict(zip(labels.tolist(), row[labels].tolist(), strict=True))

    def set_peak(self, slot: int, peak: float) -> None:
        """Note the highest mark of an account's meter."""
        self.peak[slot] = peak
        self.peaks_changed += 1
        self.schedule(np.array([slot]))

    def doubt(self, slots: Slots, checked_at: float) -> None:
        """The store may have lost records of these accounts, about which it was asked then."""
        self.is_in_doubt[slots] = True
        self.checked_at[slots] = checked_at
        self.schedule(slots)

    def checked(self, slots: Slots, now: float) -> None:
        """Note that the store was asked about these accounts."""
        self.is_in_doubt[slots] = False
        self.checked_at[slots] = now
        self.schedule(slots)

    def unjudge(self, slot: int) -> None:
        """Have it found out again whether a class of the account is over its threshold."""
        self.judged[slot] = _UNKNOWN

    def judge(self, slots: Slots, budget: int, is_crossed: NDArray[np.bool_]) -> None:
        """Note whether a class of these accounts is over its threshold, (S,)."""
        self.judged[slots] = budget
        self.is_crossed[slots] = is_crossed
        self.schedule(slots)

    def cross(self, slots: Slots) -> None:
        """Note that a class of these accounts is over its threshold by now."""
        self.is_crossed[slots] = True
        self.schedule(slots)

    def schedule(self, slots: Slots) -> None:
        """Set `due` after what it follows from has changed."""
        is_spent = self.is_crossed[slots] | (self.peak[slots] >= self._limit)
        is_asked = is_spent | self.is_in_doubt[slots]
        due = self.checked_at[slots] + self._recheck_seconds
        self.due[slots] = np.where(is_asked, due, np.inf)

    def _grow(self) -> None:
        columns = ("numbers", "level", "peak", "is_crossed", "is_in_doubt", "checked_at", "used")
        for name in columns:
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.zeros_like(array)]))
        self.judged = np.concatenate([self.judged, np.full_like(self.judged, _UNKNOWN)])
        self.due = np.concatenate([self.due, np.full_like(self.due, np.inf)])
