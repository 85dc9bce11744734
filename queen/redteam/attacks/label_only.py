"""Label-only: keep the top-1 label of an answer and nothing else of it."""

from __future__ import annotations

from torch import nn

from queen.redteam.attacks.base import Attack, Thief, ask_stream, one_hot
from queen.redteam.targets.base import MeteredTarget


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Cross entropy on the returned labels."""
    queries, answers = ask_stream(target, thief)
    return thief.train(queries, one_hot(answers))


ATTACK = Attack("label-only", "keep only the argmax", steal)
