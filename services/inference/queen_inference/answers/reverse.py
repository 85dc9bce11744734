"""Answers of the perturber's making: to the flagged rows."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from queen.bundle import Bundle
from queen.method.contracts import Profile, check_answers
from queen.method.decoy import sketch_inputs
from queen_inference.answers.fallback import SingleArray
from queen_inference.answers.guard import ContractGuard
from queen_inference.answers.profiles import PROFILE_CODES, REVERSED, Profiles, RowIndex
from queen_inference.batching import Run
from queen_inference.metrics import Measures
from queen_inference.peers.clients import PerturberClient


class Reverser:
    """Asks the perturber, and checks what it says."""

    def __init__(
        self,
        bundle: Bundle,
        perturber: PerturberClient,
        balanced_l1: float,
        guard: ContractGuard,
        measures: Measures,
    ) -> None:
        self._shadows_read_inputs = bundle.manifest.shadows.on == "inputs"
        self._perturber = perturber
        self._balanced_l1 = balanced_l1
        self._guard = guard
        self._seconds = measures.stages["reverse"]

    async def answers(
        self,
        run: Run,
        labels: RowIndex,
        profiles: Profiles,
        flagged: RowIndex,
        timeout_seconds: float,
    ) -> SingleArray:
        """Answers (F, C) to F flagged rows of a run; DependencyUnavailable if there are none."""
        started = perf_counter()
        shadow_inputs = run.inputs if self._shadows_read_inputs else run.outputs.features
        probabilities = run.outputs.probabilities[flagged]
        answers = await self._perturber.reverse(
            profiles[flagged],
            shadow_inputs[flagged],
            probabilities,
            run.outputs.embeddings[flagged],
            sketch_inputs(run.inputs[flagged]),
            self._balanced_l1,
            timeout_seconds,
        )
        self._seconds.observe(perf_counter() - started)
        return self._checked(answers.copy(), probabilities, labels[flagged], profiles[flagged])

    def _checked(
        self, answers: SingleArray, probabilities: SingleArray, labels: RowIndex, profiles: Profiles
    ) -> SingleArray:
        for profile in REVERSED:
            rows = np.flatnonzero(profiles == PROFILE_CODES[profile])
            part, own = answers[rows], probabilities[rows]

            def check(
                chosen: RowIndex | slice,
                profile: Profile = profile,
                part: SingleArray = part,
                own: SingleArray = own,
            ) -> None:
                check_answers(profile, part[chosen], own[chosen], balanced_l1=self._balanced_l1)

            self._guard.hold(check, part, labels[rows])
            answers[rows] = part
        return answers
