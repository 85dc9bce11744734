"""How many rows an owner gets without a verdict, until verdicts come again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MOST_OWNERS = 1 << 16
"""Owners whose rows are counted, those with the latest rows."""
SHORTEST_SECONDS = 60.0
"""An owner's count lasts at least so long: one verdict amid an outage frees nothing at once."""


@dataclass(slots=True)
class _Count:
    began: float
    rows: int = 0


class Allowance:
    """Counts the rows that owners get without a verdict, and grants each `most_rows` of them.

    The count of an owner ends with `renew`, but not sooner than `SHORTEST_SECONDS` after it began.
    It depends on nothing that a verdict says. `clock` is in seconds. Not safe for threads.
    """

    def __init__(
        self, most_rows: int, clock: Callable[[], float], most_owners: int = MOST_OWNERS
    ) -> None:
        self._most_rows = most_rows
        self._clock = clock
        self._most_owners = most_owners
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def __len__(self) -> int:
        """Owners whose rows are counted."""
        return len(self._counts)

    def grant(self, owner: str, rows: int) -> bool:
        """Count `rows` of an owner, if it may have all of them; whether it may."""
        count = self._counts.get(owner)
        if rows + (count.rows if count else 0) > self._most_rows:
            return False
        if count is None:
            count = self._counts[owner] = _Count(self._clock())
        count.rows += rows
        self._counts.move_to_end(owner)
        if len(self._counts) > self._most_owners:
            self._counts.popitem(last=False)
        return True

    def renew(self, owner: str) -> None:
        """Begin the count of an owner anew, since it got a verdict."""
        count = self._counts.get(owner)
        if count is not None and self._clock() - count.began >= SHORTEST_SECONDS:
            del self._counts[owner]
