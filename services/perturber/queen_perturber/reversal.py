"""Answers to flagged queries, from shadow models, a decoy or partner classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from queen.errors import SecretMismatch
from queen.method.answers.decoy import Decoy
from queen.method.answers.ensemble import ShadowDraw, ShadowEnsemble
from queen.method.answers.gradient_reverse import paper_answer
from queen.method.answers.misdirection import balanced_answer
from queen.method.contracts import Profile, check_answers
from queen.wire import PROFILES
from queen_perturber.secret import Secrets

SingleArray = NDArray[np.float32]

_GRID = 2.0**20
"""Number of steps below a power of 2 to which shadow means are rounded: see `Reversal.answer`."""


@dataclass(frozen=True, eq=False)
class Flagged:
    """B queries with verdict REVERSE."""

    profiles: NDArray[np.uint8]
    """(B,) keys of `queen.wire.PROFILES`."""
    shadow_inputs: SingleArray
    """(B, ...) inputs of the shadow models: protectee inputs or features."""
    probabilities: SingleArray
    """(B, C) the protectee's own answers."""
    embeddings: SingleArray
    """(B, E)."""
    sketches: SingleArray
    """(B, S) sketches of the inputs, for the decoy."""
    balanced_l1: float
    """Largest L1 distance of an answer under `balanced`."""
    secrets: NDArray[np.uint32]
    """(B,) fingerprints of the secrets that key the answers."""

    def __len__(self) -> int:
        return len(self.probabilities)

    def select(self, rows: NDArray[np.int64]) -> Flagged:
        """The queries at `rows`, in that order."""
        return Flagged(
            self.profiles[rows],
            self.shadow_inputs[rows],
            self.probabilities[rows],
            self.embeddings[rows],
            self.sketches[rows],
            self.balanced_l1,
            self.secrets[rows],
        )


class Reversals:
    """Answers to flagged queries, each row under its own secret.

    `make` builds the answers of one secret; `secrets` gives those in force, and may read them
    anew at every call. `answer` belongs to one thread.
    """

    def __init__(self, make: Callable[[bytes], Reversal], secrets: Callable[[], Secrets]) -> None:
        self._make = make
        self._secrets = secrets
        self._made = {name: make(key) for name, key in secrets().by_fingerprint.items()}

    def answer(self, flagged: Flagged) -> SingleArray:
        """An answer for every row, (B, C) float32; see `Reversal.answer`.

        Raises SecretMismatch for a secret that has retired while the row waited.
        """
        answers = np.empty(flagged.probabilities.shape, np.float32)
        for name in np.unique(flagged.secrets).tolist():
            rows = np.flatnonzero(flagged.secrets == name)
            answers[rows] = self._of(name).answer(flagged.select(rows))
        return answers

    def _of(self, name: int) -> Reversal:
        if name not in self._made:
            held = self._secrets().by_fingerprint
            if name not in held:
                raise SecretMismatch("expected a secret in force, got one that has just retired")
            self._made = {known: self._made[known] for known in held if known in self._made}
            self._made[name] = self._make(held[name])
        return self._made[name]


class Reversal:
    """Answers to flagged queries, keyed by the secret and deterministic.

    `ensemble` and `draw` are for the profile `paper`, `partners` (C,) for `balanced`, `decoy`
    for `strict`.
    """

    def __init__(
        self,
        ensemble: ShadowEnsemble,
        draw: ShadowDraw,
        partners: NDArray[np.int64],
        decoy: Decoy,
    ) -> None:
        self._ensemble = ensemble
        self._draw = draw
        self._partners = partners
        self._decoy = decoy
        self._answers = {
            Profile.PAPER: self._paper,
            Profile.BALANCED: self._balanced,
            Profile.STRICT: self._strict,
        }

    def answer(self, flagged: Flagged) -> SingleArray:
        """An answer for every row, (B, C) float32, each within its profile's contract.

        The same row gets the same bits in every batch. Matrix products depend on the batch's size
        in their last bits. Therefore everything is computed in float64, and q is rounded before
        anything is derived from it: relative to its size, to a grid that is coarse beside those
        bits (2^-20 beside 2^-52) and fine beside any answer. The least q stays above 0: in an
        answer, an exact zero would reveal the verdict. Raises ContractViolated rather than return
        an answer that breaks its contract.
        """
        answers = np.empty(flagged.probabilities.shape, np.float32)
        for code, profile in PROFILES.items():
            rows = np.flatnonzero(flagged.profiles == code)
            if len(rows):
                part = flagged.select(rows)
                answers[rows] = self._answers[profile](part)
                l1 = flagged.balanced_l1
                check_answers(profile, answers[rows], part.probabilities, balanced_l1=l1)
        return answers

    def _paper(self, flagged: Flagged) -> SingleArray:
        p = torch.from_numpy(flagged.probabilities.astype(np.float64))
        return paper_answer(p, self._shadow_mean(flagged)).numpy().astype(np.float32)

    def _balanced(self, flagged: Flagged) -> SingleArray:
        return balanced_answer(flagged.probabilities, self._partners, flagged.balanced_l1)

    def _strict(self, flagged: Flagged) -> SingleArray:
        return self._decoy.answers(flagged.sketches)

    def _shadow_mean(self, flagged: Flagged) -> torch.Tensor:
        """q (B, C) float64 on the CPU: the rest of an answer is small and elementwise."""
        labels = flagged.probabilities.argmax(axis=1)
        members = self._draw.members(flagged.embeddings, labels)
        # A copy: tensors over the request's own bytes would be read-only.
        inputs = torch.from_numpy(flagged.shadow_inputs.copy())
        mean = self._ensemble.mean_probabilities(inputs, members)
        mantissa, exponent = torch.frexp(mean.cpu())
        return torch.ldexp((mantissa * _GRID).round() / _GRID, exponent)
