"""Ways to steal a classifier; one file each, found by name in `ATTACKS`."""

from __future__ import annotations

from queen.redteam.attacks import knockoff
from queen.redteam.attacks.base import Attack, Means, Rehearsal

ATTACKS: dict[str, Attack] = {attack.name: attack for attack in (knockoff.ATTACK,)}

__all__ = ["ATTACKS", "Attack", "Means", "Rehearsal"]
