"""Turns: how calls share the thread that runs the shadow models.

A call is computed in turns of about TURN_SECONDS. Owners alternate, and so do the calls of one
owner: neither a large call nor many calls of one owner hold up the others, and an abandoned call
ends with its turn.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import count
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from queen.errors import Overloaded
from queen.serving.fairness.fair_queue import FairQueue, Payer
from queen_perturber.metrics import PerturberMetrics
from queen_perturber.reversal import Flagged

TURN_SECONDS = 0.05
_FIRST_ROWS = 16
_NEW_SHARE = 0.2
_LEAST_SECONDS = 1e-7
"""Least time of a row, which limits a turn to half a million rows."""


class TurnLength:
    """The number of queries in a turn, learned from how long the last turns were."""

    def __init__(self) -> None:
        self._seconds_per_row = TURN_SECONDS / _FIRST_ROWS

    @property
    def rows(self) -> int:
        """Queries of the next turn, at least 1."""
        return max(1, int(TURN_SECONDS / self._seconds_per_row))

    def learn(self, rows: int, seconds: float) -> None:
        """Learn from a turn of `rows` queries that lasted `seconds`."""
        new, known = max(seconds / rows, _LEAST_SECONDS), self._seconds_per_row
        # A slow turn counts at once, quick ones little by little: profiles differ in cost.
        self._seconds_per_row = max(new, known + _NEW_SHARE * (new - known))


@dataclass(eq=False, slots=True)
class Call:
    """A call of an owner that is computed, `done` rows so far, and its answers (B, C).

    `waits_since` is when it began to wait for its next turn.
    """

    owner: str
    flagged: Flagged
    waits_since: float
    answers: NDArray[np.float32]
    over: asyncio.Future[None]
    done: int = 0
    is_counted: bool = True

    def fail(self, error: Exception) -> None:
        """End with an error, unless the caller has gone."""
        if not self.over.done():
            self.over.set_exception(error)


class Turns:
    """Computes the answers of every call on the thread of `compute`, turn by turn.

    At most `max_waiting` calls wait; then the newest of the owner with most of them gives way.
    `clock`, in seconds, measures the turns.
    """

    def __init__(
        self,
        answer: Callable[[Flagged], NDArray[np.float32]],
        compute: Executor,
        length: TurnLength,
        metrics: PerturberMetrics,
        *,
        max_waiting: int,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._answer = answer
        self._compute = compute
        self._length = length
        self._metrics = metrics
        self._max_waiting = max_waiting
        self._clock = clock
        self._calls: FairQueue[Call] = FairQueue()
        self._waiting: Counter[str] = Counter()
        self._numbers = count()
        self._work: asyncio.Task[None] | None = None

    async def answer(self, flagged: Flagged, owner: str = "") -> NDArray[np.float32]:
        """Answers (B, C) to B flagged queries of an owner; Overloaded if too many calls wait."""
        self._make_room(owner)
        over = asyncio.get_running_loop().create_future()
        answers = np.empty_like(flagged.probabilities)
        call = Call(owner, flagged, self._clock(), answers, over)
        # Every call is a member of its owner, so that the calls of an owner alternate.
        self._calls.append(Payer(owner, str(next(self._numbers))), call)
        self._waiting[owner] += 1
        self._metrics.waiting.set(self._waiting.total())
        if self._work is None:
            self._work = asyncio.create_task(self._compute_all())
        try:
            await over
        finally:
            self._leave(call)
        return answers

    def _make_room(self, owner: str) -> None:
        if self._waiting.total() < self._max_waiting:
            return
        largest = max(self._calls.waiting_owners(), key=self._waiting.__getitem__, default=owner)
        if self._waiting[largest] <= self._waiting[owner] + 1:
            raise self._full()
        newest = self._calls.pop_newest(largest)
        newest.fail(self._full())
        self._leave(newest)

    def _full(self) -> Overloaded:
        return Overloaded(f"expected at most {self._max_waiting} waiting calls, got one more")

    async def _compute_all(self) -> None:
        """Compute turns until no call waits."""
        try:
            while (call := self._calls.first()) is not None:
                await self._compute_next(call)
        finally:
            self._work = None

    async def _compute_next(self, call: Call) -> None:
        """Compute the next turn of the first call."""
        if call.over.done():
            self._calls.pop(0)
            return
        begin = call.done
        call.done = min(begin + self._length.rows, len(call.flagged))
        rows = np.arange(begin, call.done)
        is_last = call.done == len(call.flagged)
        (self._calls.pop if is_last else self._calls.serve)(len(rows))
        try:
            call.answers[rows] = await asyncio.get_running_loop().run_in_executor(
                self._compute, self._compute_turn, call.flagged.select(rows), call.waits_since
            )
        except Exception as error:  # noqa: BLE001 - goes to the caller, and the others go on
            call.fail(error)
        call.waits_since = self._clock()
        if is_last and not call.over.done():
            call.over.set_result(None)

    def _compute_turn(self, part: Flagged, waits_since: float) -> NDArray[np.float32]:
        began = self._clock()
        self._metrics.stages["wait"].observe(began - waits_since)
        answers = self._answer(part)
        seconds = self._clock() - began
        self._metrics.stages["reverse"].observe(seconds)
        self._length.learn(len(part), seconds)
        return answers

    def _leave(self, call: Call) -> None:
        """Count a call no longer; a second time is ignored."""
        if call.is_counted:
            call.is_counted = False
            self._waiting[call.owner] -= 1
            if not self._waiting[call.owner]:
                del self._waiting[call.owner]
            self._metrics.waiting.set(self._waiting.total())
