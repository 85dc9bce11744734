"""Top-1: answer with the label alone."""

from __future__ import annotations

import numpy as np

from queen.redteam.defenses.base import Answer, Asked, Defense, Training
from queen.redteam.defenses.parts.simplex import one_hot
from queen.redteam.targets.base import Answers


def top_one(probabilities: Answers) -> Answers:
    """y' = e_argmax(y), (B, C) -> (B, C); the first of several largest.

    Tramer et al., "Stealing Machine Learning Models via Prediction APIs", USENIX Security
    2016: class labels in place of confidence values.
    """
    labels = probabilities.argmax(axis=1)
    return one_hot(labels, probabilities.shape[1]).astype(np.float32)


def _prepare(_training: Training, _seed: int) -> Answer:
    def answer(asked: Asked) -> Answers:
        return top_one(asked.probabilities)

    return answer


DEFENSE = Defense("top-1", "the label alone, one-hot", _prepare)
