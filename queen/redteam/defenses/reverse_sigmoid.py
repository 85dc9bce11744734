"""Reverse sigmoid: many probabilities share one answer, so that it cannot be inverted."""

from __future__ import annotations

import numpy as np

from queen.redteam.defenses.base import Answer, Asked, Defense, Training
from queen.redteam.defenses.parts.simplex import as_answers
from queen.redteam.targets.base import Answers

_BETA = 0.2
_GAMMA = 0.2
# A probability of 0 or 1 has no logit.
_EDGE = 1e-12


def reverse_sigmoid(probabilities: Answers) -> Answers:
    """y' = norm(y - beta (sigmoid(gamma logit(y)) - 0.5)), (B, C) -> (B, C).

    Lee et al., "Defending Against Neural Network Model Stealing Attacks Using Deceptive
    Perturbations", IEEE Security and Privacy Workshops 2019; beta 0.2, gamma 0.2. With
    them no class falls below 0, and where the largest probability is at least 0.1, as
    with ten classes it always is, the label stays.
    """
    y = np.clip(probabilities.astype(np.float64), _EDGE, 1.0 - _EDGE)
    # sigmoid(gamma log(y / (1 - y))) without a logarithm.
    up, down = y**_GAMMA, (1.0 - y) ** _GAMMA
    return as_answers(y - _BETA * (up / (up + down) - 0.5))


def _prepare(_training: Training, _seed: int) -> Answer:
    def answer(asked: Asked) -> Answers:
        return reverse_sigmoid(asked.probabilities)

    return answer


DEFENSE = Defense("reverse-sigmoid", "many probabilities share one answer", _prepare)
