"""Knockoff: ask about the pool in a seeded order, and learn the answers as they are."""

from __future__ import annotations

from torch import nn

from queen.redteam.attacks.base import Attack, Thief, ask_spread
from queen.redteam.targets.base import MeteredTarget


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Soft cross entropy on the returned vectors."""
    answers = ask_spread(target, thief.stream, thief.accounts)
    return thief.train(thief.stream, answers)


ATTACK = Attack("knockoff", "learn the answers as they are", steal)
