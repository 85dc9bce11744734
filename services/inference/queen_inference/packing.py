"""Packs the rows of waiting requests into runs: which rows of which request run next."""

from __future__ import annotations

from collections.abc import Callable

from queen_inference.micro_batch import Pending
from queen_inference.waiting import WaitingRequests

ALONE_SECONDS = 0.1
"""Longest run while one owner asks: whoever comes meanwhile waits for its end."""
SHARED_SECONDS = 0.02
SHARED_ROWS = 256
"""Longest run, and most rows of it, while several owners ask: each waits for the others' rows."""
ALONE_RUNS = 32
"""Runs in a row of one owner after which it counts as alone."""
_MOST_TURNS = 16
"""Turns that a run is cut into: with more owners some wait for the next, and few finish late."""

Run = dict[Pending, slice]
"""The requests of a run, and which of its rows each one runs."""


class Packer:
    """Chooses the rows of each run, by owner in turn.

    While several owners ask, runs are short and shared evenly among those that wait, and a large
    request runs in several turns. `expected_seconds` is the time that a run of some rows needs.
    """

    def __init__(self, expected_seconds: Callable[[int], float], max_batch_rows: int) -> None:
        self._most_alone = _largest(expected_seconds, max_batch_rows, ALONE_SECONDS)
        shared_rows = min(SHARED_ROWS, max_batch_rows)
        self._most_shared = _largest(expected_seconds, shared_rows, SHARED_SECONDS)
        self._last_owner: str | None = None
        self._runs_alone = ALONE_RUNS

    def next_run(self, waiting: WaitingRequests, now: float) -> Run:
        """The next rows of one shape that fit a run; empty if no request waits."""
        first = waiting.first(now)
        if first is None:
            return {}
        most = self._most_shared if self._is_shared(waiting, first) else self._most_alone
        quantum = max(1, most // min(waiting.owners, _MOST_TURNS))
        run: Run = {}
        left = most
        pending: Pending | None = first
        while pending is not None and pending.inputs.shape[1:] == first.inputs.shape[1:]:
            rows = _turn(pending, quantum, left, most)
            if not rows:
                break
            begun = waiting.begin(pending, rows)
            run[pending] = slice(run[pending].start if pending in run else begun.start, begun.stop)
            left -= rows
            pending = waiting.first(now)
        self._remember(run)
        return run

    def _is_shared(self, waiting: WaitingRequests, first: Pending) -> bool:
        is_known = self._last_owner in {None, first.payer.owner}
        return waiting.owners > 1 or not is_known or self._runs_alone < ALONE_RUNS

    def _remember(self, run: Run) -> None:
        owners = {pending.payer.owner for pending in run}
        is_same = len(owners) == 1 and self._last_owner in {None, *owners}
        self._runs_alone = self._runs_alone + 1 if is_same else 0
        self._last_owner = next(iter(owners))


def _turn(pending: Pending, quantum: int, left: int, most: int) -> int:
    """Rows of a request's turn in a run with room for `left` more; 0 if it has to wait.

    Only requests that fit no run are cut where a run ends.
    """
    wanted = pending.rows - pending.begun
    turn = min(wanted, quantum)
    if turn <= left:
        return turn
    return left if wanted > most else 0


def _largest(expected_seconds: Callable[[int], float], rows: int, seconds: float) -> int:
    """The rows, halved until their run is short enough; at least 1."""
    while rows > 1 and expected_seconds(rows) > seconds:
        rows //= 2
    return rows
