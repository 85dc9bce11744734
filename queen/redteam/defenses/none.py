"""No defense: the protectee's own answers, with which every defense is compared."""

from __future__ import annotations

from queen.redteam.defenses.base import Answer, Asked, Defense, Training
from queen.redteam.targets.base import Answers


def _prepare(_training: Training, _seed: int) -> Answer:
    """The protectee's own answers, bit for bit: y' = y."""

    def answer(asked: Asked) -> Answers:
        return asked.probabilities

    return answer


DEFENSE = Defense("none", "the protectee's own answer", _prepare)
