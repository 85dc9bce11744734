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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.errors import FitError
from queen.method.geometry import FloatArray, Geometry, LabelArray, SingleArray
from queen.method.sensitivity import packing_limit

UNKNOWN_LEVEL = -1.0
"""Level of an account that was loaded with records. It may repeat old queries, of which the far
ones would count as new and the others lower nothing: its first record makes the level 0."""
GROUP_LIMITS = 2.0
"""Limits of an account at which a group is off-distribution."""
_REMEMBERED = 256
"""Cells of tail queries that are recognized when they are asked about again."""
_CELL_SIDE = 0.2
"""Side of such a cell in sensitive radii: slight changes move a tail query by less."""


def room_left(geometry: Geometry, cqs: FloatArray) -> FloatArray:
    """(1 - cqs / packing limit)^2, about the share of sensitive queries that are still novel, (B,).

    `cqs` (B,) is that of the ledger that each query reaches. 1 for an empty ledger, 0 for a full
    one. The square fits honest traffic in two dimensions (ADR 16).
    """
    limit = packing_limit(geometry.alpha, geometry.embedding_width)
    room: FloatArray = np.square(np.maximum(1.0 - cqs / limit, 0.0))
    return room


def tail_cells(geometry: Geometry, embeddings: SingleArray, labels: LabelArray) -> list[bytes]:
    """The cell of each of `embeddings` (B, E) of predicted `labels` (B,), its class in it."""
    side = _CELL_SIDE * geometry.sensitive_radius[labels][:, None]
    # Adding 0 makes -0 the same bytes as 0.
    cells = np.floor(embeddings / side) + 0.0
    return [row.tobytes() for row in np.column_stack([labels.astype(np.float64), cells])]


@dataclass(frozen=True, eq=False)
class OffDistributionMeter:
    """Fitted on honest data alone.

    `tail_distance` (C,) is the distance to the cluster center that 99 % of a class stay
    under; at most `rise` is added for a query beyond it, `fall` is subtracted for a record; an
    account is off-distribution once its level reaches `limit`, a group at GROUP_LIMITS times that.
    """

    tail_distance: FloatArray
    rise: float
    fall: float
    limit: float

    def __post_init__(self) -> None:
        # A NaN would be a distance that nothing exceeds.
        if not (np.isfinite(self.tail_distance).all() and (self.tail_distance > 0).all()):
            raise FitError("expected finite tail distances above 0, got others")
        if not all(0 < value < np.inf for value in (self.rise, self.fall, self.limit)):
            raise FitError(
                f"expected a finite rise, fall and limit above 0, got {self.rise}, {self.fall}, "
                f"{self.limit}"
            )

    @cached_property
    def of_groups(self) -> OffDistributionMeter:
        """The meter with the limit of a group."""
        return replace(self, limit=GROUP_LIMITS * self.limit)

    def limits(self, owners: int, accounts: int) -> FloatArray:
        """The limit of each of `owners` O, the first of which are `accounts`, the rest groups."""
        return np.where(np.arange(owners) < accounts, self.limit, self.of_groups.limit)

    def is_far(self, distances: FloatArray, labels: LabelArray) -> NDArray[np.bool_]:
        """Whether each of `distances` d (B,) of predicted `labels` (B,) lies in the tail, (B,)."""
        return distances > self.tail_distance[labels]

    def steps(
        self,
        is_far: NDArray[np.bool_],
        is_recorded: NDArray[np.bool_],
        room: FloatArray,
    ) -> FloatArray:
        """How each query moves the level, (B,): up in the tail, down with any other record.

        `room` (B,) is `room_left` in the ledger of the query; a query of an owner that is over its
        budget has no step, which the caller says by a room of 0 and a record that is not marked.
        """
        steps: FloatArray = np.where(is_far, self.rise * room, -self.fall * is_recorded)
        return steps


def after(level: float, step: float) -> float:
    """The level after a query: S_i = max(0, S_{i-1} + step)."""
    return max(0.0, level + step)


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

    A negative mark is no level: it is the negative fingerprint of the secret under which the owner
    is answered, and the last one holds.
    """

    __slots__ = ("_width", "marks", "peak", "recent", "secret")

    def __init__(self, embedding_width: int) -> None:
        self._width = embedding_width
        self.peak = 0.0
        self.marks: list[float] = []
        self.secret = 0
        # None until there is a tail query: most accounts in memory never send a tail query.
        self.recent: OrderedDict[bytes, None] | None = None

    @property
    def records(self) -> SingleArray:
        """The marks as records (M, E)."""
        return self._as_records(self.marks)

    def as_record(self, mark: float) -> SingleArray:
        """A mark as a record, (1, E)."""
        return self._as_records([mark])

    def copy(self) -> AccountMeter:
        """A meter in the same state: a walk over it leaves this meter as it is."""
        other = AccountMeter(self._width)
        other.peak, other.marks, other.secret = self.peak, self.marks.copy(), self.secret
        other.recent = None if self.recent is None else self.recent.copy()
        return other

    def extend(self, records: SingleArray) -> None:
        """Note marks (M, E) that are in the store."""
        self.marks += records[:, 0].astype(np.float64).tolist()
        self.peak = max(self.peak, *self.marks)
        self.secret = next((int(-mark) for mark in reversed(self.marks) if mark < 0), 0)

    def clear(self) -> None:
        """Forget all marks."""
        self.marks, self.peak, self.secret = [], 0.0, 0

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
        steps: Sequence[float],
        cells: Mapping[int, bytes],
    ) -> Walk:
        """Walk over the owner's next queries in order, from `level` on: `rows` (Q,) of a batch.

        `steps` are those of all rows of the batch, `cells` those of its tail queries by row. A
        tail query in a cell that was asked about is no further evidence: an account that
        retries an odd sample must not look like a thief. One without a step is remembered alone.
        """
        highest, off_from = 0.0, len(rows)
        for position, row in enumerate(rows):
            step = steps[row]
            was_asked = row in cells and self.was_asked(cells[row])
            if step > 0 and (was_asked or self._is_unknown(level)):
                continue
            if step:
                level = after(max(level, 0.0), step)
            highest = max(highest, level)
            if level >= meter.limit:
                off_from = min(off_from, position + 1)
        return Walk(level, off_from, self._new_mark(meter, highest))

    def _is_unknown(self, level: float) -> bool:
        """Whether the level is not known yet; a full memory ends that, too."""
        return level < 0 and self.recent is not None and len(self.recent) < _REMEMBERED

    def was_asked(self, cell: bytes) -> bool:
        """Whether a cell was asked about lately; it is remembered from now on."""
        recent = self.recent = OrderedDict() if self.recent is None else self.recent
        was_asked = cell in recent
        recent[cell] = None
        recent.move_to_end(cell)
        if len(recent) > _REMEMBERED:
            recent.popitem(last=False)
        return was_asked

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
    steps: FloatArray
    """How each row moves the level, (R,)."""
    cells: Mapping[int, bytes]
    """Cell of each row that moves it up, by row."""
    query: NDArray[np.integer]
    """(R,): the row that charges the account of the same query; its own number for that row."""
    accounts: int
    """The number of owners that are accounts; groups come after them."""


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

    `levels` and `peaks` (O,) are those before the batch; `meter_of` gives an owner's meter. The
    accounts walk first: a query that finds its account off-distribution moves no group's meter, so
    that one member cannot bring a group to its limit.
    """
    owner, steps, is_grouped = rows.owner, rows.steps, rows.owner >= rows.accounts
    limits = meter.limits(len(levels), rows.accounts)
    is_off: NDArray[np.bool_] = (peaks >= limits)[owner]
    walked: dict[int, Walk] = {}

    def walk(rising: NDArray[np.bool_], of_owners: OffDistributionMeter) -> None:
        every_step = steps.tolist() if rising.any() else []
        for index in sorted(set(owner[rising].tolist())):
            own_rows = (owner == index).nonzero()[0].tolist()
            level = float(levels[index])
            walked[index] = meter_of(index).walk(of_owners, level, own_rows, every_step, rows.cells)
            is_off[own_rows[walked[index].off_from :]] = True

    walk((steps > 0) & ~is_off & ~is_grouped, meter)
    if is_grouped.any():
        rising = (steps > 0) & ~is_off & is_grouped
        steps = np.where(is_grouped & is_off[rows.query], 0.0, steps)
        walk(rising, meter.of_groups)
    # Right for all owners without a tail query, which are most owners of a batch.
    falls = np.bincount(owner[steps < 0], minlength=len(levels))
    fallen = np.maximum(levels - meter.fall * falls, 0.0)
    after_rows: FloatArray = np.where((falls > 0) & (peaks < limits), fallen, levels)
    for index, of_owner in walked.items():
        after_rows[index] = of_owner.level
    marks = [(index, of.mark) for index, of in walked.items() if of.mark is not None]
    return Walks(is_off, after_rows, sorted(marks))
