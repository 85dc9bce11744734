"""ModelGuard-W: the answer within an L1 distance that says least about the clean answer."""

from __future__ import annotations

import numpy as np

from queen.redteam.defenses.base import Answer, Asked, Defense, Training
from queen.redteam.defenses.parts.linear_program import maximize_keeping_label
from queen.redteam.defenses.parts.simplex import as_answers, l1_room, on_simplex, with_lead
from queen.redteam.targets.base import Answers

_L1 = 1.0
# Below it a probability is 0 to a thief, and its logarithm must not outweigh the rest.
_FLOOR = 1e-12


def least_likely_answer(probabilities: Answers, l1: float = _L1) -> Answers:
    """argmin of sum_j log(y_j) y'_j over the simplex, ||y' - y||_1 <= l1, label kept, (B, C).

    Tang et al., "ModelGuard: Information-Theoretic Defense Against Model Extraction
    Attacks", USENIX Security 2024, ModelGuard-W. The optimum often ties the label with
    another class, so the label is then given a lead of 1e-5.
    """
    start, labels = on_simplex(probabilities), probabilities.argmax(axis=1)
    objective = -np.log(np.maximum(start, _FLOOR))
    least_likely = maximize_keeping_label(objective, start, labels, l1_room(l1))
    return as_answers(with_lead(least_likely, labels))


def _prepare(_training: Training, _seed: int) -> Answer:
    def answer(asked: Asked) -> Answers:
        return least_likely_answer(asked.probabilities)

    return answer


DEFENSE = Defense(
    "modelguard-w", "least likely answer within L1 1, label kept", _prepare, strength=_L1
)
