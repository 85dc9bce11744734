"""Answers that replace the intended ones: failure modes, refusals, and broken contracts.

Shapes: B queries, C classes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
from prometheus_client import Counter

from queen.decision_line import HURRIED, OVERLOADED
from queen.errors import (
    ContractViolated,
    DeadlineExceeded,
    DependencyUnavailable,
    Overloaded,
    QueenError,
)
from queen_inference.metrics import InferenceMetrics
from queen_inference.micro_batch import Pending, RowIndex, Span
from queen_inference.protectee import SingleArray
from queen_inference.settings import FailureMode

_NOT_AVAILABLE = "answers are not available; retry later"
PROTECT_CONFIDENCE = 0.9
Outcome = str
"""The failure mode or the refusal that a request got instead of its verdict's answer, or ""."""
Check = Callable[[RowIndex | slice], None]
"""Raises ContractViolated if an answer in some rows breaks the contract of its profile."""


def protect_answers(labels: RowIndex, classes: int) -> SingleArray:
    """Label-only answers (B, C): 0.9 on the label, the rest shared evenly."""
    answers = np.full((len(labels), classes), (1 - PROTECT_CONFIDENCE) / (classes - 1), np.float32)
    answers[np.arange(len(labels)), labels] = PROTECT_CONFIDENCE
    return answers


class Fallback:
    """Answers requests as the failure mode says, or refuses them, and counts both.

    A request that is answered already, or whose caller has gone, is left alone.
    """

    def __init__(self, mode: FailureMode, metrics: InferenceMetrics) -> None:
        self.mode = mode
        self._metrics = metrics

    def answer(
        self,
        pending: Pending,
        labels: RowIndex,
        probabilities: SingleArray,
        *,
        is_observed: bool,
    ) -> Outcome:
        """Answer a request of labels (B,) and probabilities (B, C); the mode, if it decided.

        Requests under observe are answered as ever: their answers need no verdict.
        """
        if pending.answers.done():
            return ""
        if is_observed:
            pending.resolve(probabilities.copy())
            return ""
        self._metrics.failure_mode[self.mode].inc()
        if self.mode == "deny":
            pending.fail(DependencyUnavailable(_NOT_AVAILABLE))
        elif self.mode == "allow":
            pending.resolve(probabilities.copy())
        else:
            pending.resolve(protect_answers(labels, probabilities.shape[1]))
        return self.mode

    def protect(self, pending: Pending, answers: SingleArray) -> Outcome:
        """Answer a request whose flagged rows are protect answers already; the mode.

        Under deny the request gets no answer.
        """
        if pending.answers.done():
            return ""
        mode: FailureMode = "deny" if self.mode == "deny" else "protect"
        self._metrics.failure_mode[mode].inc()
        if mode == "deny":
            pending.fail(DependencyUnavailable(_NOT_AVAILABLE))
        else:
            pending.resolve(answers)
        return mode

    def refuse_overload(self, pending: Pending) -> Outcome:
        """Refuse a request for which a peer has no room or no time.

        Callers can fill a peer, and must not choose with it how they are answered.
        """
        too_many = Overloaded("too many queries at once; retry after the delay")
        return self._refuse(pending, OVERLOADED, too_many)

    def refuse_hurry(self, pending: Pending) -> Outcome:
        """Refuse a request whose own deadline ends before the failure mode may answer.

        The text is the same for every wait: which wait was cut short would tell the verdict.
        """
        too_short = DeadlineExceeded("the deadline is too short for an answer; give it more time")
        return self._refuse(pending, HURRIED, too_short)

    def _refuse(self, pending: Pending, refusal: Outcome, error: QueenError) -> Outcome:
        if pending.answers.done():
            return ""
        self._metrics.dropped[refusal].inc()
        pending.fail(error)
        return refusal


@contextmanager
def answering_in_time(
    spans: Iterable[Span],
    timeout_seconds: float,
    margin_seconds: float,
    answer: Callable[[Pending, slice], Outcome],
    late: dict[Pending, Outcome],
) -> Iterator[None]:
    """While a peer is waited for, answer each request before its own deadline.

    The peer has its timeout, whatever time the callers have. A request with less time is handed
    to `answer` a margin before it expires, and is then among the `late`, with the outcome that
    `answer` returned. A request that was answered before is not among them.
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


class ContractGuard:
    """Replaces answers that break the contract of their profile by protect answers.

    `violations` counts them.
    """

    def __init__(self, violations: Counter) -> None:
        self._violations = violations

    def hold(self, check: Check, answers: SingleArray, labels: RowIndex) -> None:
        """Check answers (B, C) to queries of labels (B,), and mend them in place."""
        if not len(answers):
            return
        try:
            check(slice(None))
        except ContractViolated:
            rows = [row for row in range(len(answers)) if _violates(check, row)]
            answers[rows] = protect_answers(labels[rows], answers.shape[1])
            self._violations.inc(len(rows))


def _violates(check: Check, row: int) -> bool:
    try:
        check(slice(row, row + 1))
    except ContractViolated:
        return True
    return False
