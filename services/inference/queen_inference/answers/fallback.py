"""Answers that replace the intended answers: failure modes, refusals, and protect answers.

Shapes: B queries, C classes.
"""

from __future__ import annotations

import numpy as np

from queen.decision_line import HURRIED, LEDGER_DAMAGED, LEDGER_FULL, OVER_BUDGET, OVERLOADED
from queen.errors import (
    DeadlineExceeded,
    DependencyUnavailable,
    LedgerCorrupt,
    LedgerFull,
    OverBudget,
    Overloaded,
    QueenError,
)
from queen.failures import Failure
from queen_inference.answers.unassessed import Unassessed
from queen_inference.metrics import InferenceMetrics
from queen_inference.micro_batch import Pending, RowIndex
from queen_inference.protectee import SingleArray
from queen_inference.settings import FailureMode

_NOT_AVAILABLE = "answers are not available; retry later"
PROTECT_CONFIDENCE = 0.9
Outcome = str
"""The failure mode or the refusal that a request got instead of its verdict's answer, or ""."""


def protect_answers(labels: RowIndex, classes: int) -> SingleArray:
    """Label-only answers (B, C): 0.9 on the label, the rest shared evenly."""
    answers = np.full((len(labels), classes), (1 - PROTECT_CONFIDENCE) / (classes - 1), np.float32)
    answers[np.arange(len(labels)), labels] = PROTECT_CONFIDENCE
    return answers


class Fallback:
    """Answers requests as the failure mode says, or refuses them, and counts both.

    A request that is answered already, or whose caller has gone, is not answered again. Under
    `protect` an account gets only the labels that `Unassessed` grants it, and else what `deny`
    would give it.
    """

    def __init__(
        self, mode: FailureMode, metrics: InferenceMetrics, unassessed: Unassessed
    ) -> None:
        self.mode = mode
        self.unassessed = unassessed
        self._metrics = metrics

    def answer(
        self,
        pending: Pending,
        labels: RowIndex,
        probabilities: SingleArray,
        *,
        is_observed: bool,
    ) -> Outcome:
        """Answer a request of labels (B,), probabilities (B, C); returns the mode, if it decided.

        Requests under observe get their usual answers, which need no verdict.
        """
        if pending.answers.done():
            return ""
        if is_observed:
            pending.resolve(probabilities.copy())
            return ""
        mode = self.mode
        if mode == "protect" and not self.unassessed.grant(pending):
            mode = "deny"
        self._metrics.failure_mode[mode].inc()
        if mode == "deny":
            pending.fail(DependencyUnavailable(_NOT_AVAILABLE))
        elif mode == "allow":
            pending.resolve(probabilities.copy())
        else:
            pending.resolve(protect_answers(labels, probabilities.shape[1]))
        return mode

    def protect(self, pending: Pending, answers: SingleArray, flagged_rows: int) -> Outcome:
        """Answer a request whose flagged rows are protect answers already; returns the mode.

        Under deny the request gets no answer, nor under protect beyond what is granted.
        """
        if pending.answers.done():
            return ""
        mode: FailureMode = "deny" if self.mode == "deny" else "protect"
        if self.mode == "protect" and not self.unassessed.grant_flagged(pending, flagged_rows):
            mode = "deny"
        self._metrics.failure_mode[mode].inc()
        if mode == "deny":
            pending.fail(DependencyUnavailable(_NOT_AVAILABLE))
        else:
            pending.resolve(answers)
        return mode

    def refuse_overload(self, pending: Pending) -> Outcome:
        """Refuse a request for which a peer has no room or no time.

        Callers can fill a peer's queue, and must not choose by that how they are answered.
        """
        too_many = Overloaded("too many queries at once; retry after the delay")
        return self._refuse(pending, OVERLOADED, too_many)

    def refuse_hurry(self, pending: Pending) -> Outcome:
        """Refuse a request whose own deadline ends before the failure mode may answer.

        The text is the same for every wait: a text for each wait would tell the verdict.
        """
        too_short = DeadlineExceeded("the deadline is too short for an answer; give it more time")
        return self._refuse(pending, HURRIED, too_short)

    def refuse_over_budget(self, pending: Pending) -> Outcome:
        """Refuse a request under `refuse` that holds a query which its account may not ask.

        The text is the same whether the account, its group or its meter is the cause.
        """
        spent = OverBudget(
            "this account is over its budget: it is answered only on queries that it was charged "
            "for; ask the operator for a larger budget or for a reset"
        )
        return self._refuse(pending, OVER_BUDGET, spent)

    def refuse_failed(self, pending: Pending, failure: Failure) -> Outcome:
        """Refuse a request with a query that cannot be recorded, or whose ledger is damaged.

        No failure mode answers it: a label that is not charged would be had for a full disk. The
        text is the same whether the account's ledger or its group's is the cause.
        """
        if failure is Failure.LEDGER_FULL:
            full = LedgerFull(
                "no record can be kept of new queries now; the operator has to make room"
            )
            return self._refuse(pending, LEDGER_FULL, full)
        damaged = LedgerCorrupt(
            "the ledger of this account cannot be read; the operator has to restore or erase it"
        )
        return self._refuse(pending, LEDGER_DAMAGED, damaged)

    def replace_broken(self, answers: SingleArray, rows: RowIndex, labels: RowIndex) -> None:
        """Put protect answers in place of those `answers` (B, C) that broke a contract, in `rows`.

        `labels` (B,) are those of all the queries.
        """
        answers[rows] = protect_answers(labels[rows], answers.shape[1])
        self._metrics.violations.inc(len(rows))

    def _refuse(self, pending: Pending, refusal: Outcome, error: QueenError) -> Outcome:
        if pending.answers.done():
            return ""
        self._metrics.dropped[refusal].inc()
        pending.fail(error)
        return refusal
