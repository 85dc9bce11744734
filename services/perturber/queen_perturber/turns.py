"""Turns: how calls share the thread that runs the shadow models.

A call is computed in turns of about TURN_SECONDS, and calls alternate, so that a large call
does not hold up the others, and an abandoned call ends with its turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from queen.errors import Overloaded
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


class Turns:
    """Computes the answers of every call on the thread of `compute`, turn by turn.

    At most `max_waiting` calls wait. `clock`, in seconds, measures the turns.
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
        self._waiting = 0

    async def answer(self, flagged: Flagged) -> NDArray[np.float32]:
        """Answers (B, C) to B flagged queries; Overloaded if too many calls wait."""
        if self._waiting >= self._max_waiting:
            raise Overloaded(f"expected at most {self._max_waiting} waiting calls, got one more")
        self._count_waiting(1)
        answers = np.empty_like(flagged.probabilities)
        try:
            done = 0
            while done < len(flagged):
                rows = np.arange(done, min(done + self._length.rows, len(flagged)))
                answers[rows] = await asyncio.get_running_loop().run_in_executor(
                    self._compute, self._compute_turn, flagged.select(rows), self._clock()
                )
                done += len(rows)
        finally:
            self._count_waiting(-1)
        return answers

    def _compute_turn(self, part: Flagged, arrived: float) -> NDArray[np.float32]:
        began = self._clock()
        self._metrics.stages["wait"].observe(began - arrived)
        answers = self._answer(part)
        seconds = self._clock() - began
        self._metrics.stages["reverse"].observe(seconds)
        self._length.learn(len(part), seconds)
        return answers

    def _count_waiting(self, calls: int) -> None:
        self._waiting += calls
        self._metrics.waiting.set(self._waiting)
