"""Warm-up: look honest first, steal afterwards.

It aims at a defence that judges an account by its beginning.
"""

from __future__ import annotations

from torch import nn

from queen.redteam.attacks.base import Attack, Means, ask_spread
from queen.redteam.targets.base import MeteredTarget

_SHARE = 10


def steal(target: MeteredTarget, means: Means) -> nn.Module:
    """Spend a tenth of the queries on traffic that is not learned, then learn the rest.

    The pool's own order is what honest traffic looks like: each class as often as it occurs.
    """
    honest = len(means.stream) // _SHARE
    ask_spread(target, means.stream[:honest], means.accounts)
    images = means.stream[honest:]
    return means.train(images, ask_spread(target, images, means.accounts))


ATTACK = Attack("warm-up", "a tenth of honest traffic first", steal)
