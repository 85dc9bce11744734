"""Discard: do not learn the answers that look reversed.

Shapes: Q later queries, C classes.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from queen.redteam.attacks.base import Attack, Means
from queen.redteam.attacks.parts.prefix import ask_prefix, ask_rest
from queen.redteam.attacks.parts.readout import entropy, posterior
from queen.redteam.targets.base import MeteredTarget

_QUANTILE = 0.9


def by_disagreement(target: MeteredTarget, means: Means) -> nn.Module:
    """Drop later answers whose label is not what a copy of the first answers predicts."""
    prefix = ask_prefix(target, means)
    images, answers = ask_rest(target, means, prefix)
    kept = answers.argmax(axis=1) == posterior(prefix.copy, images).argmax(axis=1)
    return means.train(*prefix.followed_by(images[kept], answers[kept]))


def by_entropy(target: MeteredTarget, means: Means) -> nn.Module:
    """Drop later answers of more entropy than nine tenths of the first answers had."""
    prefix = ask_prefix(target, means)
    images, answers = ask_rest(target, means, prefix)
    kept = entropy(answers) <= np.quantile(entropy(prefix.answers), _QUANTILE)
    return means.train(*prefix.followed_by(images[kept], answers[kept]))


ATTACKS = (
    Attack("discard-disagreement", "drop what a copy of the first answers denies", by_disagreement),
    Attack("discard-entropy", "drop answers of high entropy", by_entropy),
)
