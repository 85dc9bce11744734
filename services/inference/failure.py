"""What is answered without a verdict: by the failure mode, in an overload, to the impatient."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from queen.errors import DeadlineExceeded, DependencyUnavailable, Overloaded

from .batching import Pending
from .decisions import Span
from .measures import Measures
from .settings import FailureMode

SingleArray = NDArray[np.float32]
PROTECT_CONFIDENCE = 0.9


def protect_answers(labels: NDArray[np.int64], classes: int) -> SingleArray:
    """Label-only answers (B, C): 0.9 on the label, the rest shared evenly."""
    answers = np.full((len(labels), classes), (1 - PROTECT_CONFIDENCE) / (classes - 1), np.float32)
    answers[np.arange(len(labels)), labels] = PROTECT_CONFIDENCE
    return answers


class Fallback:
    """Answers requests as the failure mode says, and counts them.

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
    ) -> str:
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
            pending.fail(DependencyUnavailable("answers are not available; retry later"))
        elif self.mode == "allow":
            pending.resolve(probabilities.copy())
        else:
            pending.resolve(protect_answers(labels, probabilities.shape[1]))
        return self.mode

    def refuse_overload(self, pending: Pending) -> str:
        """Answer a request for which a peer has no room: never by the failure mode.

        Callers can fill a peer, and must not choose with it what they are answered.
        """
        if not pending.answers.done():
            self._measures.dropped["overloaded"].inc()
            pending.fail(Overloaded("too many queries at once; retry after the delay"))
        return ""

    def refuse_hurry(self, pending: Pending) -> str:
        """Answer a request whose own deadline is over before the failure mode may speak.

        The text is the same whatever was waited for: that would tell the verdict.
        """
        self._measures.dropped["hurried"].inc()
        pending.fail(DeadlineExceeded("the deadline is too short for an answer; give it more time"))
        return ""

    def protect(self, pending: Pending, answers: SingleArray) -> str:
        """Answer a request whose flagged rows are protect answers already; the mode."""
        if pending.answers.done():
            return ""
        self._measures.failure_mode["protect"].inc()
        pending.resolve(answers)
        return "protect"


@contextmanager
def answering_in_time(
    spans: Sequence[Span],
    timeout_seconds: float,
    margin_seconds: float,
    answer: Callable[[Pending, slice], str],
) -> Iterator[dict[Pending, str]]:
    """While a peer is waited for, answer each request before its own deadline.

    The peer is given its timeout whatever the callers have: a request with less is handed to
    `answer` a margin before it expires. Yields those that were, with what `answer` returned;
    a request that was answered before is not among them.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + timeout_seconds
    late: dict[Pending, str] = {}

    def give_up(pending: Pending, rows: slice) -> None:
        if not pending.answers.done():
            late[pending] = answer(pending, rows)

    due = [(pending.expires - margin_seconds, pending, rows) for pending, rows in spans]
    timers = [loop.call_at(at, give_up, pending, rows) for at, pending, rows in due if at < ends]
    try:
        yield late
    finally:
        for timer in timers:
            timer.cancel()
