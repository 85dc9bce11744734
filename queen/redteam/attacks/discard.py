"""Discard: do not learn the answers that look reversed.

Shapes: Q later queries, C classes.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from queen.redteam.attacks.base import Attack, Thief
from queen.redteam.attacks.parts.prefix import ask_prefix, ask_rest
from queen.redteam.attacks.parts.readout import entropy, posterior
from queen.redteam.targets.base import MeteredTarget

_QUANTILE = 0.9


def by_disagreement(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Drop later answers whose label a copy of the first answers does not predict."""
    prefix = ask_prefix(target, thief)
    images, answers = ask_rest(target, thief, prefix)
    kept = answers.argmax(axis=1) == posterior(prefix.copy, images).argmax(axis=1)
    return thief.train(*prefix.followed_by(images[kept], answers[kept]))


def by_entropy(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Drop later answers whose entropy is above that of nine tenths of the first answers."""
    prefix = ask_prefix(target, thief)
    images, answers = ask_rest(target, thief, prefix)
    kept = entropy(answers) <= np.quantile(entropy(prefix.answers), _QUANTILE)
    return thief.train(*prefix.followed_by(images[kept], answers[kept]))


ATTACKS = (
    Attack(
        "discard-disagreement",
        "drop labels that a copy of the first answers denies",
        by_disagreement,
    ),
    Attack("discard-entropy", "drop answers of high entropy", by_entropy),
)
