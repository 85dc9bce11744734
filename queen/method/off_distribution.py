"""The off-distribution meter: it notices accounts whose queries are unlike the training data.

Sensitive regions measure queries like the training data; a pool from elsewhere mostly falls
outside of them and is never charged, but it falls outside far too often. A cumulative sum
(Page, 1954) over an account's queries notices that. The sum rises with every query farther from its
cluster center than the class's tail distance and falls with every other query: it drifts down at a
share p0 of far queries and up at a share p1. The account is off-distribution once the sum reaches
`limit`.

Shapes: B queries, C classes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.errors import FitError
from queen.method.geometry import FloatArray, LabelArray, SingleArray

_REMEMBERED = 64
"""Distinct tail queries that are recognized when they are sent again."""


@dataclass(frozen=True, eq=False)
class OffDistributionMeter:
    """Fitted on honest data alone.

    `tail_distance` (C,) is the distance to the cluster center that 99 % of a class stay
    under; `rise` is added for a query beyond it, `fall` subtracted for any other; an
    account is off-distribution once its level reaches `limit`.
    """

    tail_distance: FloatArray
    rise: float
    fall: float
    limit: float

    def __post_init__(self) -> None:
        # A NaN would be a distance that nothing exceeds.
        if not (np.isfinite(self.tail_distance).all() and (self.tail_distance > 0).all()):
            raise FitError("expected finite tail distances above 0, got others")
        if not (0 < self.fall < self.rise < np.inf and 0 < self.limit < np.inf):
            raise FitError(
                f"expected 0 < fall < rise and a limit above 0, got {self.fall}, {self.rise}, "
                f"{self.limit}"
            )

    def is_far(self, distances: FloatArray, labels: LabelArray) -> NDArray[np.bool_]:
        """Whether each of `distances` d (B,) of predicted `labels` (B,) lies in the tail, (B,)."""
        return distances > self.tail_distance[labels]

    def after(self, level: float, is_far: bool) -> float:
        """The level after a query: S_i = max(0, S_{i-1} + rise) or max(0, S_{i-1} - fall)."""
        return level + self.rise if is_far else max(0.0, level - self.fall)

    def walk(self, level: float, is_far: Sequence[bool]) -> list[float]:
        """The level after each of several queries in order."""
        levels = []
        for far in is_far:
            level = self.after(level, far)
            levels.append(level)
        return levels


class Walk(NamedTuple):
    """The level after an owner's queries, and a new mark, if there is one.

    From the query `off_from` on the owner was over the limit; if it never was, `off_from` is the
    number of queries.
    """

    level: float
    off_from: int
    mark: float | None


class AccountMeter:
    """High-water marks of the level, which is in memory alone, as records of their own.

    A mark is a record (E,) whose first number is a level. Marks only rise, so the rules of
    all records hold for them: append-only, few (a limit's worth of rises), and "over the
    limit" never reverts. The level between two marks is lost with the process, to the
    account's good.
    """

    __slots__ = ("_width", "marks", "peak", "recent")

    def __init__(self, embedding_width: int) -> None:
        self._width = embedding_width
        self.peak = 0.0
        self.marks: list[float] = []
        # None until there is a tail query: most accounts in memory never send a tail query.
        self.recent: OrderedDict[bytes, None] | None = None

    @property
    def records(self) -> SingleArray:
        """The marks as records (M, E)."""
        return self._as_records(self.marks)

    def as_record(self, mark: float) -> SingleArray:
        """A mark as a record, (1, E)."""
        return self._as_records([mark])

    def extend(self, records: SingleArray) -> None:
        """Note marks (M, E) that are in the store."""
        self.marks += records[:, 0].astype(np.float64).tolist()
        self.peak = max(self.peak, *self.marks)

    def clear(self) -> None:
        """Forget all marks."""
        self.marks, self.peak = [], 0.0

    def _as_records(self, marks: Sequence[float]) -> SingleArray:
        levels = np.asarray(marks, np.float64)
        single = levels.astype(np.float32)
        # Marks are rounded up: a mark at the limit, read again, must still be at the limit.
        up = np.nextafter(single, np.float32(np.inf))
        records = np.zeros((len(levels), self._width), np.float32)
        records[:, 0] = np.where(single < levels, up, single)
        return records

    def walk(
        self,
        meter: OffDistributionMeter,
        level: float,
        rows: Sequence[int],
        is_far: Sequence[bool],
        embeddings: SingleArray,
    ) -> Walk:
        """Walk over the owner's next queries in order, from `level` on: `rows` (Q,) of a batch.

        A repeated tail query is no further evidence: an account that retries an odd sample must not
        look like a thief.
        """
        highest, off_from = 0.0, len(rows)
        for position, row in enumerate(rows):
            if is_far[row] and self._was_sent(embeddings[row].tobytes()):
                continue
            level = meter.after(level, is_far[row])
            highest = max(highest, level)
            if level >= meter.limit:
                off_from = min(off_from, position + 1)
        return Walk(level, off_from, self._new_mark(meter, highest))

    def _was_sent(self, query: bytes) -> bool:
        """Whether a tail query was sent before, lately; it is remembered from now on."""
        recent = self.recent = OrderedDict() if self.recent is None else self.recent
        was_sent = query in recent
        recent[query] = None
        recent.move_to_end(query)
        if len(recent) > _REMEMBERED:
            recent.popitem(last=False)
        return was_sent

    def _new_mark(self, meter: OffDistributionMeter, highest: float) -> float | None:
        """The highest level of a batch, if it is a whole rise above the last mark or the limit."""
        highest = min(highest, meter.limit)
        # A peak that was rounded up must not put off the next mark.
        next_mark = self.peak + meter.rise * (1.0 - 1e-6)
        is_mark = highest >= next_mark or highest >= meter.limit > self.peak
        return highest if is_mark else None


class MeterRows(NamedTuple):
    """R rows of a batch, with the fields that the meters of their owners read."""

    owner: NDArray[np.integer]
    """(R,) in 0..O-1."""
    is_far: NDArray[np.bool_]
    """Whether the row lies in the tail of its class, (R,)."""
    embeddings: SingleArray
    """(R, E)."""


class Walks(NamedTuple):
    """The meters of O owners after a batch of R rows.

    `is_off` (R,) says whether each row's owner was over the limit before it, `levels` (O,)
    are those after the batch, and `marks` are new, each with its owner.
    """

    is_off: NDArray[np.bool_]
    levels: FloatArray
    marks: list[tuple[int, float]]


def walk_owners(
    meter: OffDistributionMeter,
    rows: MeterRows,
    levels: FloatArray,
    peaks: FloatArray,
    meter_of: Callable[[int], AccountMeter],
) -> Walks:
    """Walk over the rows of O owners, each owner's in order.

    `levels` and `peaks` (O,) are those before the batch; `meter_of` gives an owner's meter.
    """
    owner, is_far = rows.owner, rows.is_far
    # Right for all owners without a tail query, which are most owners of a batch.
    after = np.maximum(levels - meter.fall * np.bincount(owner, minlength=len(levels)), 0.0)
    marks: list[tuple[int, float]] = []
    was_off = peaks >= meter.limit
    is_off: NDArray[np.bool_] = was_off[owner]
    if np.count_nonzero(was_off):
        after[was_off] = levels[was_off]
        is_far = is_far & ~is_off
    far = is_far.tolist()
    for index in sorted(set(owner[is_far].tolist())):
        of_owner = (owner == index).nonzero()[0].tolist()
        level = float(levels[index])
        walk = meter_of(index).walk(meter, level, of_owner, far, rows.embeddings)
        after[index] = walk.level
        is_off[of_owner[walk.off_from :]] = True
        if walk.mark is not None:
            marks.append((index, walk.mark))
    return Walks(is_off, after, marks)
