"""Ways to steal a classifier; one file each, found by name in `ATTACKS`."""

from __future__ import annotations

from queen.redteam.attacks import knockoff
from queen.redteam.attacks.base import Attack, Means, Rehearsal
from queen.redteam.attacks.learned import LEARNED_ATTACKS
from queen.redteam.attacks.streams import STREAM_ATTACKS

ATTACKS: dict[str, Attack] = {
    attack.name: attack for attack in (knockoff.ATTACK, *STREAM_ATTACKS, *LEARNED_ATTACKS)
}

__all__ = ["ATTACKS", "Attack", "Means", "Rehearsal"]
