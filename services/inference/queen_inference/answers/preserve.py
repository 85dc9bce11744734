"""Answers of the front door's own making: to all rows but the reversed ones."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from queen.bundle import Bundle
from queen.method.contracts import Profile, check_answers, check_label_kept, check_simplex
from queen.method.label_preserving import preserve_label
from queen.method.misdirection import partner_classes, safe_answer
from queen_inference.answers.fallback import SingleArray
from queen_inference.answers.guard import ContractGuard
from queen_inference.answers.profiles import PROFILE_CODES, Profiles, RowIndex
from queen_inference.batching import Run
from queen_inference.metrics import Measures


class Preserver:
    """Softens answers, and misdirects those under `safe`, with the label kept."""

    def __init__(self, bundle: Bundle, guard: ContractGuard, measures: Measures) -> None:
        self._head = bundle.head
        self._partners = partner_classes(bundle.digest, bundle.manifest.num_classes)
        self._guard = guard
        self._seconds = measures.stages["preserve"]

    def answers(self, run: Run, labels: RowIndex, profiles: Profiles) -> SingleArray:
        """Answers (B, C) to all rows of a run, each as its profile says of an unflagged row."""
        started = perf_counter()
        outputs = run.outputs
        answers = preserve_label(self._head, outputs.logits, outputs.features)

        def check(rows: RowIndex | slice) -> None:
            check_simplex(answers[rows])
            # Both are argmax only; probabilities can tie in float32 where logits do not.
            check_label_kept(answers[rows], outputs.logits[rows])

        self._guard.hold(check, answers, labels)
        safe = np.flatnonzero(profiles == PROFILE_CODES[Profile.SAFE])
        self._misdirect(run, labels, answers, safe)
        observed = profiles == PROFILE_CODES[Profile.OBSERVE]
        answers[observed] = outputs.probabilities[observed]
        self._seconds.observe(perf_counter() - started)
        return answers

    def _misdirect(self, run: Run, labels: RowIndex, answers: SingleArray, rows: RowIndex) -> None:
        """Answer rows under `safe`, whatever their verdict, so that nothing tells it."""
        if not len(rows):
            return
        own, part = run.outputs.probabilities[rows], labels[rows]
        safe = safe_answer(own, part, self._partners)

        def check(chosen: RowIndex | slice) -> None:
            check_answers(Profile.SAFE, safe[chosen], own[chosen], labels=part[chosen])

        self._guard.hold(check, safe, part)
        answers[rows] = safe
