"""Shares of the decision log: how much an owner may fill in a minute, and what was left out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import Counter

from queen.serving.fairness.room import Room
from queen_inference.micro_batch import Pending

SPAN_SECONDS = 60.0
MOST_TOLD = 1024
"""Accounts of which a span remembers what was left out; of others it is only counted."""
_RECORD_BYTES = 600
_ROW_BYTES, _GROUP_ROW_BYTES, _OBSERVED_ROW_BYTES = 110, 80, 100
_UNBOUNDED = 1 << 62


def size_of(rows: int, *, is_grouped: bool = False, is_observed: bool = False) -> int:
    """About how many bytes a record takes that lists so many queries."""
    by_row = _ROW_BYTES + _GROUP_ROW_BYTES * is_grouped + _OBSERVED_ROW_BYTES * is_observed
    return _RECORD_BYTES + rows * by_row


@dataclass(slots=True)
class LeftOut:
    """The requests of an account, in a span that began at `since`, that have no whole record.

    `rows` are the queries that no record lists, and `over_budget` counts the requests that were
    refused for the budget, of which a span has one in full.
    """

    since: float
    about: dict[str, Any]
    requests: int = 0
    rows: int = 0
    over_budget: int = 0


@dataclass(slots=True)
class _Span:
    """A minute: `refused` are the accounts of which it holds a refusal."""

    minute: int
    room: Room
    left_out: dict[str, LeftOut] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)


class Shares:
    """Divides each minute of the log among owners, so that none can drive the others out of it.

    An owner may fill as much of a minute as it leaves free: alone at most half. `clock` is in
    seconds since 1970. Records that are `dropped` are counted by their harshest verdict.
    """

    def __init__(
        self,
        dropped: Mapping[str, Counter] | None = None,
        bytes_per_span: int = _UNBOUNDED,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._dropped = dropped or {}
        self._bytes = bytes_per_span
        self._clock = clock
        self._span = _Span(0, Room(bytes_per_span))

    def begin(self) -> Sequence[LeftOut]:
        """Begin another span once its time has come, and return what the ended one left out."""
        minute = int(self._clock() // SPAN_SECONDS)
        return [] if minute == self._span.minute else self._end(minute)

    def close(self) -> Sequence[LeftOut]:
        """End the last span, and return its left-out requests."""
        return self._end(self._span.minute)

    def admit(self, pending: Pending, size: int) -> bool:
        """Whether a record of so many bytes is in its owner's share; it is counted if so."""
        return self._span.room.admit(pending.payer.owner, size)

    def is_told(self, pending: Pending) -> bool:
        """Whether the span has a refusal of this account; from now on it does."""
        refused, account_id = self._span.refused, pending.account.account_id
        if account_id in refused:
            return True
        if len(refused) < MOST_TOLD:
            refused.add(account_id)
        return False

    def drop(self, pending: Pending, about: dict[str, Any], harshest: str) -> None:
        """Count a request that gets no record, since its owner's share is full."""
        if harshest in self._dropped:
            self._dropped[harshest].inc()
        self.leave_out(pending, about, pending.rows)

    def leave_out(
        self, pending: Pending, about: dict[str, Any], rows: int, *, over_budget: bool = False
    ) -> None:
        """Count `rows` of a request that no record lists."""
        left_out, account_id = self._span.left_out, pending.account.account_id
        if account_id not in left_out:
            if len(left_out) >= MOST_TOLD:
                return
            left_out[account_id] = LeftOut(self._span.minute * SPAN_SECONDS, about)
        entry = left_out[account_id]
        entry.requests += 1
        entry.rows += rows
        entry.over_budget += over_budget

    def _end(self, minute: int) -> Sequence[LeftOut]:
        ended, self._span = self._span, _Span(minute, Room(self._bytes))
        return list(ended.left_out.values())
