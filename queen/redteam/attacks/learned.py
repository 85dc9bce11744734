"""The attacks that learn more than the copy: an inverse, a table, or where to ask next."""

from __future__ import annotations

from queen.redteam.attacks import art_library, d_dae, full_knowledge, jbda, partial_bayes
from queen.redteam.attacks.base import Attack

LEARNED_ATTACKS: tuple[Attack, ...] = (
    jbda.ATTACK,
    *d_dae.ATTACKS,
    partial_bayes.ATTACK,
    *full_knowledge.ATTACKS,
    *art_library.ATTACKS,
)
