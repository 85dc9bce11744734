"""Answers that keep the label, in closed form, for all rows that are not reversed."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from queen.bundle import Bundle
from queen.method.answers.label_preserving import preserve_label
from queen.method.answers.misdirection import partner_classes, safe_answer
from queen.method.answers.rounding import round_answers
from queen.method.contracts import (
    ROUNDED,
    Check,
    Profile,
    broken_rows,
    check_answers,
    check_label_kept,
    check_simplex,
)
from queen_inference.answers.fallback import Fallback
from queen_inference.metrics import InferenceMetrics
from queen_inference.micro_batch import MicroBatch, RowIndex
from queen_inference.protectee import SingleArray


class Preserver:
    """Softens answers, and misdirects those under `safe`, with the label kept."""

    def __init__(self, bundle: Bundle, fallback: Fallback, metrics: InferenceMetrics) -> None:
        self._head = bundle.head
        self._partners = partner_classes(bundle.digest, bundle.manifest.num_classes)
        self._fallback = fallback
        self._seconds = metrics.stages["preserve"]

    def answers(self, batch: MicroBatch) -> SingleArray:
        """Answers (B, C) to all rows, each as its profile answers a row that is not flagged."""
        started = perf_counter()
        outputs = batch.outputs
        answers = preserve_label(self._head, outputs.logits, outputs.features)
        rounded = batch.rows_under(*ROUNDED)
        if rounded.any():
            answers[rounded] = round_answers(answers[rounded])

        def check(rows: slice) -> None:
            check_simplex(answers[rows])
            # Both are argmax only; probabilities can tie in float32 where logits do not.
            check_label_kept(answers[rows], outputs.logits[rows])

        self._replace_broken(check, answers, batch.labels)
        self._misdirect(batch, answers, np.flatnonzero(batch.rows_under(Profile.SAFE)))
        observed = batch.rows_under(Profile.OBSERVE)
        answers[observed] = outputs.probabilities[observed]
        self._seconds.observe(perf_counter() - started)
        return answers

    def _misdirect(self, batch: MicroBatch, answers: SingleArray, rows: RowIndex) -> None:
        """Answer the rows under `safe` alike, whatever their verdict."""
        if not len(rows):
            return
        own, labels = batch.outputs.probabilities[rows], batch.labels[rows]
        safe = safe_answer(own, labels, self._partners)

        def check(chosen: slice) -> None:
            check_answers(Profile.SAFE, safe[chosen], own[chosen], labels=labels[chosen])

        self._replace_broken(check, safe, labels)
        answers[rows] = safe

    def _replace_broken(self, check: Check, answers: SingleArray, labels: RowIndex) -> None:
        rows = broken_rows(check, len(answers))
        if len(rows):
            self._fallback.replace_broken(answers, rows, labels)
