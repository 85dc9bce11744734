"""Semi-supervised: learn the clean answers together with the images of the pool.

No defense can take away the images that a thief has anyway. Clean answers are those before the
crossing, of plain images or of images that copies doubt.
"""

from __future__ import annotations

from torch import nn

from queen.redteam.attacks.active import MIXING, ask_actively
from queen.redteam.attacks.base import Attack, Thief, halfway
from queen.redteam.attacks.parts.clean_prefix import ask_clean_prefix
from queen.redteam.attacks.parts.semi_supervised import train_with_pool
from queen.redteam.targets.base import MeteredTarget


def steal_prefix(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Notice the crossing, and learn the answers before it with the whole pool."""
    images, answers = ask_clean_prefix(target, thief)
    return train_with_pool(thief, images, halfway(answers))


def steal_active(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Ask about what copies doubt, between plain images, and learn the answers with the pool."""
    images, answers = ask_actively(target, thief, MIXING)
    return train_with_pool(thief, images, halfway(answers))


ATTACKS = (
    Attack(
        "ssl-prefix",
        "learn the answers before the crossing, and what their copy believes of the pool",
        steal_prefix,
    ),
    Attack(
        "ssl-active",
        "learn an active thief's answers, and what their copy believes of the pool",
        steal_active,
    ),
)
