"""Disambiguate: read an answer as a short list that has the true class on it.

A defense that is held to a small L1 cannot move all mass away from a sure class. The mass that
it adds looks like noise once many images are seen together, as in learning from partial labels:
Lv et al. (2020), "Progressive Identification of True Labels for Partial-Label Learning".

Shapes: Q queries, C classes.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, ask_stream
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.targets.base import Answers, MeteredTarget

_ROUNDS = 2
_LISTED = 0.1
"""Probability from which a class is on the list."""


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Learn the lists; then, twice, learn the classes that the last copy chooses from the lists."""
    queries, answers = ask_stream(target, thief)
    listed = shortlist(answers)
    copy = thief.train(queries, narrowed(listed, np.ones_like(listed)))
    for salt in range(1, _ROUNDS + 1):
        targets = narrowed(listed, posterior(copy, queries))
        copy = thief.train(queries, targets, salt=salt)
    return copy


def shortlist(answers: Answers) -> Answers:
    """1 where a class has a tenth of an answer (Q, C) or is its largest, else 0, (Q, C)."""
    is_listed = (answers >= _LISTED) | (answers == answers.max(axis=1, keepdims=True))
    listed: Answers = is_listed.astype(np.float32)
    return listed


def narrowed(listed: Answers, belief: Answers) -> Answers:
    """A belief (Q, C) given that the true class is `listed` (Q, C); rows sum to 1."""
    weights = listed * np.maximum(belief, np.finfo(np.float32).tiny)
    targets: Answers = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return targets


ATTACK = Attack("disambiguate", "learn which class of each answer's short list is meant", steal)
