"""Rounding: answer with one decimal."""

from __future__ import annotations

import numpy as np

from queen.redteam.defenses.base import Answer, Asked, Defense, Training
from queen.redteam.defenses.parts.simplex import as_answers
from queen.redteam.defenses.top_one import top_one
from queen.redteam.targets.base import Answers

_DECIMALS = 1


def rounded(probabilities: Answers) -> Answers:
    """y' = round(y, 1 decimal) / its sum, (B, C) -> (B, C).

    Tramer et al., "Stealing Machine Learning Models via Prediction APIs", USENIX Security
    2016. A row that rounds to nothing, as a flat row of many classes does, becomes its
    label alone. Two classes may round to a tie, so the label is not promised.
    """
    rows = probabilities.astype(np.float64).round(_DECIMALS)
    is_nothing = ~rows.any(axis=1)
    rows[is_nothing] = top_one(probabilities[is_nothing])
    return as_answers(rows)


def _prepare(_training: Training, _seed: int) -> Answer:
    def answer(asked: Asked) -> Answers:
        return rounded(asked.probabilities)

    return answer


DEFENSE = Defense("rounding", "one decimal, renormalized", _prepare)
