"""Answers to flagged rows: the perturber makes them, and their contract is checked here.

Shapes: F flagged rows, C classes.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from queen.bundle import Bundle
from queen.method.answers.decoy import sketch_inputs
from queen.method.contracts import Profile, broken_rows, check_answers
from queen.serving.logging import account_hash
from queen.wire import PROFILES
from queen_inference.answers.fallback import Fallback
from queen_inference.metrics import InferenceMetrics
from queen_inference.micro_batch import MicroBatch, RowIndex
from queen_inference.peers.perturber import FlaggedRows, Reverses
from queen_inference.protectee import SingleArray

REVERSED = tuple(PROFILES.values())
"""Profiles whose rows go to the perturber once their verdict is REVERSE."""
_NUMBERS = {profile: code for code, profile in PROFILES.items()}


class Reverser:
    """Asks the perturber for answers, and holds them to the contracts of their profiles."""

    def __init__(
        self,
        bundle: Bundle,
        perturber: Reverses,
        balanced_l1: float,
        fallback: Fallback,
        metrics: InferenceMetrics,
    ) -> None:
        self._shadows_read_inputs = bundle.manifest.shadows.on == "inputs"
        self._perturber = perturber
        self._balanced_l1 = balanced_l1
        self._fallback = fallback
        self._seconds = metrics.stages["reverse"]

    async def answers(
        self,
        batch: MicroBatch,
        flagged: RowIndex,
        secrets: NDArray[np.uint32],
        timeout_seconds: float,
    ) -> SingleArray:
        """Answers (F, C) to flagged rows (F,); DependencyUnavailable if they do not come in time.

        The rows are under profiles of `REVERSED`, and of one owner; `secrets` (F,) are its own.
        """
        started = perf_counter()
        rows = self._select(batch, flagged, secrets)
        answers = await self._perturber.reverse(rows, timeout_seconds)
        self._seconds.observe(perf_counter() - started)
        return self._checked(answers.copy(), rows, batch.labels[flagged])

    def _select(
        self, batch: MicroBatch, flagged: RowIndex, secrets: NDArray[np.uint32]
    ) -> FlaggedRows:
        numbers = [_NUMBERS.get(request.account.profile, 0) for request in batch.requests]
        outputs = batch.outputs
        shadow_inputs = batch.inputs if self._shadows_read_inputs else outputs.features
        return FlaggedRows(
            batch.by_row(numbers, np.uint8)[flagged],
            shadow_inputs[flagged],
            outputs.probabilities[flagged],
            outputs.embeddings[flagged],
            sketch_inputs(batch.inputs[flagged]),
            self._balanced_l1,
            secrets,
            account_hash(batch.request_at(int(flagged[0])).payer.owner),
        )

    def _checked(self, answers: SingleArray, flagged: FlaggedRows, labels: RowIndex) -> SingleArray:
        for code, profile in PROFILES.items():
            rows = np.flatnonzero(flagged.profiles == code)
            part = answers[rows], flagged.probabilities[rows]
            broken = rows[broken_rows(partial(self._check, profile, *part), len(rows))]
            if len(broken):
                self._fallback.replace_broken(answers, broken, labels)
        return answers

    def _check(self, profile: Profile, answers: SingleArray, own: SingleArray, rows: slice) -> None:
        check_answers(profile, answers[rows], own[rows], balanced_l1=self._balanced_l1)
