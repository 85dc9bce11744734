"""Warm-up: behave like an honest account first, steal afterwards.

The attack aims at defenses that judge an account by its first queries.
"""

from __future__ import annotations

from torch import nn

from queen.redteam.attacks.base import Attack, Thief, ask_spread
from queen.redteam.targets.base import MeteredTarget

_SHARE = 10


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Spend a tenth of the queries on traffic that is not learned, then learn the rest.

    The pool's own order looks like honest traffic: every class as often as it occurs.
    """
    honest = len(thief.stream) // _SHARE
    ask_spread(target, thief.stream[:honest], thief.accounts)
    images = thief.stream[honest:]
    return thief.train(images, ask_spread(target, images, thief.accounts))


ATTACK = Attack("warm-up", "a tenth of honest traffic first", steal)
