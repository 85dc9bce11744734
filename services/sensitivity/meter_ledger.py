"""One owner's off-distribution meter: its level, and the marks of it that are kept for good."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.method.off_distribution import OffDistributionMeter

from .ledger_store import Records

_REMEMBERED = 64
"""Distinct tail queries that are recognised when they are sent again."""


class Taken(NamedTuple):
    """Whether the owner was over the limit before each of its queries, (Q,), and new marks."""

    is_off: NDArray[np.bool_]
    marks: list[float]


class MeterLedger:
    """The level in memory, and its high-water marks as records of their own.

    A mark is a record (E,) whose first number is a level. Marks only rise, so they obey
    what holds for all records: append-only, few (a limit's worth of rises), and "over the
    limit" never reverts. The level between two marks is lost with the process, to the
    account's good.
    """

    __slots__ = ("_width", "level", "marks", "peak", "recent")

    def __init__(self, embedding_width: int) -> None:
        self._width = embedding_width
        self.level = 0.0
        self.peak = 0.0
        self.marks: list[float] = []
        # None until there is a tail query: most accounts in memory never have one.
        self.recent: OrderedDict[bytes, None] | None = None

    @property
    def records(self) -> Records:
        """The marks as records (M, E)."""
        return self._as_records(self.marks)

    def as_record(self, mark: float) -> Records:
        """One mark as a record, (1, E)."""
        return self._as_records([mark])

    def extend(self, records: Records) -> None:
        """Take over marks (M, E) that are in the store."""
        self.marks += records[:, 0].astype(np.float64).tolist()
        self.peak = max(self.peak, *self.marks)

    def _as_records(self, marks: Sequence[float]) -> Records:
        levels = np.asarray(marks, np.float64)
        single = levels.astype(np.float32)
        # Rounded up: a mark at the limit, read again, must still be at the limit.
        up = np.nextafter(single, np.float32(np.inf))
        records = np.zeros((len(levels), self._width), np.float32)
        records[:, 0] = np.where(single < levels, up, single)
        return records

    def is_off(self, meter: OffDistributionMeter) -> bool:
        """Whether a mark has reached the limit."""
        return self.peak >= meter.limit

    def take(
        self,
        meter: OffDistributionMeter,
        is_far: NDArray[np.bool_],
        embeddings: Records,
    ) -> Taken:
        """Walk over the owner's next queries, (Q,) and (Q, E), in order.

        A tail query that was sent before is no further evidence: a client that retries one
        odd sample must not look like a thief.
        """
        off = np.zeros(len(is_far), np.bool_)
        if self.is_off(meter):
            return Taken(~off, [])
        if not is_far.any():
            self.level = max(0.0, self.level - meter.fall * len(is_far))
            return Taken(off, [])
        counted = self._distinct(is_far, embeddings)
        levels = meter.walk(self.level, is_far[counted].tolist())
        self.level = levels[-1] if levels else self.level
        over = [place for place, level in enumerate(levels) if level >= meter.limit]
        if over:
            off[counted[over[0]] + 1 :] = True
        return Taken(off, self._new_marks(meter, levels))

    def _distinct(self, is_far: NDArray[np.bool_], embeddings: Records) -> NDArray[np.int64]:
        """Rows that count: all but the tail queries that were sent before."""
        counted = np.ones(len(is_far), np.bool_)
        recent = self.recent = OrderedDict() if self.recent is None else self.recent
        for row in np.flatnonzero(is_far).tolist():
            key = embeddings[row].tobytes()
            counted[row] = key not in recent
            recent[key] = None
            recent.move_to_end(key)
            if len(recent) > _REMEMBERED:
                recent.popitem(last=False)
        return np.flatnonzero(counted)

    def _new_marks(self, meter: OffDistributionMeter, levels: Sequence[float]) -> list[float]:
        """The highest level of a batch, if it is a whole rise above the last mark or the limit."""
        highest = min(max(levels, default=0.0), meter.limit)
        # A peak that was rounded up must not put off the next mark.
        next_mark = self.peak + meter.rise * (1.0 - 1e-6)
        is_mark = highest >= next_mark or highest >= meter.limit > self.peak
        return [highest] if is_mark else []


def walk_owners(
    meter: OffDistributionMeter,
    ledgers: Sequence[MeterLedger],
    owner: NDArray[np.integer],
    is_far: NDArray[np.bool_],
    embeddings: Records,
) -> tuple[NDArray[np.bool_], list[tuple[int, float]]]:
    """Walk over R rows of many owners, `owner` (R,) into `ledgers`, each owner's in order.

    Whether each row's owner was over the limit before it, (R,), and new marks with their owners.
    """
    is_off = np.zeros(len(owner), np.bool_)
    marks: list[tuple[int, float]] = []
    strayed = set(owner[is_far].tolist())
    falls = (meter.fall * np.bincount(owner, minlength=len(ledgers))).tolist()
    limit = meter.limit
    for place, (ledger, fall) in enumerate(zip(ledgers, falls, strict=True)):
        if place not in strayed and ledger.peak < limit:
            # As `take` would, without the cost of a call: by far the most owners of a batch.
            level = ledger.level - fall
            ledger.level = level if level > 0.0 else 0.0
            continue
        rows = np.flatnonzero(owner == place)
        taken = ledger.take(meter, is_far[rows], embeddings[rows])
        is_off[rows] = taken.is_off
        marks += [(place, mark) for mark in taken.marks]
    return is_off, marks
