"""What is answered without a verdict: by the failure mode, in an overload, to the impatient."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from queen.decision_line import HURRIED, OVERLOADED
from queen.errors import DeadlineExceeded, DependencyUnavailable, Overloaded, QueenError
from queen_inference.batching import Pending
from queen_inference.decisions.log import Span
from queen_inference.metrics import Measures
from queen_inference.settings import FailureMode

SingleArray = NDArray[np.float32]
_NOT_AVAILABLE = "answers are not available; retry later"
PROTECT_CONFIDENCE = 0.9
Outcome = str
"""What answered a request instead of the verdict: a failure mode, a refusal, or "" for nothing."""


def protect_answers(labels: NDArray[np.int64], classes: int) -> SingleArray:
    """Label-only answers (B, C): 0.9 on the label, the rest shared evenly."""
    answers = np.full((len(labels), classes), (1 - PROTECT_CONFIDENCE) / (classes - 1), np.float32)
    answers[np.arange(len(labels)), labels] = PROTECT_CONFIDENCE
    return answers


class Fallback:
    """Answers requests as the failure mode says, or refuses them, and counts both.

    A request that is answered already, or whose caller has gone, is left alone.
    """

    def __init__(self, mode: FailureMode, measures: Measures) -> None:
        self.mode = mode
        self._measures = measures

    def answer(
        self,
        pending: Pending,
        labels: NDArray[np.int64],
        probabilities: SingleArray,
        *,
        is_observed: bool,
    ) -> Outcome:
        """Answer a request of labels (B,) and probabilities (B, C); the mode, if it decided.

        Under observe there is nothing to fail: its answers need no verdict.
        """
        if pending.answers.done():
            return ""
        if is_observed:
            pending.resolve(probabilities.copy())
            return ""
        self._measures.failure_mode[self.mode].inc()
        if self.mode == "deny":
            pending.fail(DependencyUnavailable(_NOT_AVAILABLE))
        elif self.mode == "allow":
            pending.resolve(probabilities.copy())
        else:
            pending.resolve(protect_answers(labels, probabilities.shape[1]))
        return self.mode

    def refuse_overload(self, pending: Pending) -> Outcome:
        """Refuse a request for which a peer has no room or no time.

        Callers can fill a peer, and must not choose with it what they are answered.
        """
        too_many = Overloaded("too many queries at once; retry after the delay")
        return self._refuse(pending, OVERLOADED, too_many)

    def refuse_hurry(self, pending: Pending) -> Outcome:
        """Refuse a request whose own deadline is over before the failure mode may speak.

        The text is the same whatever was waited for: that would tell the verdict.
        """
        too_short = DeadlineExceeded("the deadline is too short for an answer; give it more time")
        return self._refuse(pending, HURRIED, too_short)

    def protect(self, pending: Pending, answers: SingleArray) -> Outcome:
        """Answer a request whose flagged rows are protect answers already; the mode.

        Under deny it gets none.
        """
        if pending.answers.done():
            return ""
        mode: FailureMode = "deny" if self.mode == "deny" else "protect"
        self._measures.failure_mode[mode].inc()
        if mode == "deny":
            pending.fail(DependencyUnavailable(_NOT_AVAILABLE))
        else:
            pending.resolve(answers)
        return mode

    def _refuse(self, pending: Pending, refusal: Outcome, error: QueenError) -> Outcome:
        if pending.answers.done():
            return ""
        self._measures.dropped[refusal].inc()
        pending.fail(error)
        return refusal


@contextmanager
def answering_in_time(
    spans: Sequence[Span],
    timeout_seconds: float,
    margin_seconds: float,
    answer: Callable[[Pending, slice], Outcome],
    late: dict[Pending, Outcome],
) -> Iterator[None]:
    """While a peer is waited for, answer each request before its own deadline.

    The peer is given its timeout whatever the callers have: a request with less is handed to
    `answer` a margin before it expires, and is then among the `late`, with what that
    returned. A request that was answered before is not among them.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + timeout_seconds

    def give_up(pending: Pending, rows: slice) -> None:
        if not pending.answers.done():
            late[pending] = answer(pending, rows)

    due = [(pending.expires - margin_seconds, pending, rows) for pending, rows in spans]
    timers = [loop.call_at(at, give_up, pending, rows) for at, pending, rows in due if at < ends]
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
