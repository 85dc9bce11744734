"""Out of region: ask about images that are unlikely to lie in a sensitive region.

Sensitivity is counted near the cluster centers, so a thief with more images than queries
can choose images that the defense does not record.

Shapes: N images, K of the prefix, C classes, D feature width.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, ask_spread
from queen.redteam.attacks.parts.prefix import Prefix, ask_prefix
from queen.redteam.attacks.parts.readout import entropy, penultimate, posterior
from queen.redteam.datasets import Images
from queen.redteam.targets.base import MeteredTarget

Score = Callable[[Prefix, Images], NDArray[np.floating]]


def steal(target: MeteredTarget, thief: Thief, *, score: Score) -> nn.Module:
    """After the prefix, ask about the images of the pool with the largest `score` first.

    With a pool no larger than the budget only the order is chosen.
    """
    prefix = ask_prefix(target, thief)
    rest = thief.pool[len(prefix.queries) :]
    images = rest[np.argsort(-score(prefix, rest), kind="stable")[: target.left]]
    answers = ask_spread(target, images, thief.accounts)
    return thief.train(*prefix.followed_by(images, answers))


def doubt(prefix: Prefix, images: Images) -> NDArray[np.float32]:
    """Entropy of the copy's posterior, (N,) in nats."""
    return entropy(posterior(prefix.copy, images))


def remoteness(prefix: Prefix, images: Images) -> NDArray[np.floating]:
    """Distance to the mean feature of the predicted class, in mean radii of that class, (N,).

    Features, thief and radii are those of the copy: the protectee's are not known.
    """
    features = penultimate(prefix.copy, images)
    labels = posterior(prefix.copy, images).argmax(axis=1)
    remote = np.zeros(len(images))
    for label in np.unique(labels):
        own = labels == label
        distances = np.linalg.norm(features[own] - features[own].mean(axis=0), axis=1)
        remote[own] = distances / max(distances.mean(), np.finfo(np.float32).tiny)
    return remote


ATTACKS = (
    Attack(
        "out-of-region-entropy",
        "ask about the images that a copy doubts most",
        partial(steal, score=doubt),
    ),
    Attack(
        "out-of-region-far",
        "ask about the images that are far from their class",
        partial(steal, score=remoteness),
    ),
)
