"""Prefix and stop: notice the crossing, and learn the answers before it alone."""

from __future__ import annotations

from torch import nn

from queen.redteam.attacks.base import Attack, Thief, halfway
from queen.redteam.attacks.parts.clean_prefix import ask_clean_prefix
from queen.redteam.targets.base import MeteredTarget


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """A known query after every 16 images, and the answers themselves, show the crossing."""
    images, answers = ask_clean_prefix(target, thief)
    return thief.train(images, halfway(answers))


ATTACK = Attack("prefix-and-stop", "notice the crossing, learn the answers before it", steal)
