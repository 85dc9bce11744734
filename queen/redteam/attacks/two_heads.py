"""Two heads: trust the first answers, and let the later answers teach the features only.

Answers that are always wrong can still tell which inputs belong together. A network
with one trunk and two heads learns this: the first head is trained on the prefix, the second on all
later answers, and the second is thrown away. The network beats a copy of the prefix alone exactly
where misdirected answers carry structure of the protectee.

Shapes: Q queries, C classes.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from queen.redteam.attacks.base import Attack, Thief
from queen.redteam.attacks.parts.answered import answered
from queen.redteam.attacks.parts.prefix import ask_prefix, ask_rest
from queen.redteam.datasets import Images
from queen.redteam.learner import (
    Examples,
    Lesson,
    effort_for,
    learn,
    new_copy,
    validation_split,
)
from queen.redteam.networks import with_channels_last
from queen.redteam.targets.base import Answers, MeteredTarget

_TRUSTED = 32
"""Trusted answers in a step."""


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Learn a trunk from all answers, and a head from those of the prefix."""
    prefix = ask_prefix(target, thief)
    images, answers = ask_rest(target, thief, prefix)
    if not len(images):
        return prefix.copy
    trusted, later = answered(prefix.queries, prefix.answers), (images, answers)
    return train_two_heads(thief.dataset, trusted, later, seed=thief.seed)


def train_two_heads(
    dataset: str, trusted: tuple[Images, Answers], later: tuple[Images, Answers], *, seed: int
) -> nn.Module:
    """A network of half width whose head learned only `trusted`, (Q, ...) and (Q, C).

    A step learns half as many trusted answers as later ones. Augmentation and the length of the
    training are those of any copy; a tenth of `trusted` is the validation split.
    """
    network, effort = new_copy(dataset, seed), effort_for(dataset)
    trunk, head = network[:-1], cast(nn.Linear, network[-1])
    other = nn.Linear(head.in_features, later[1].shape[1]).to(head.weight.device)
    generator = torch.Generator().manual_seed(seed)
    held, kept = validation_split(len(trusted[0]), seed)
    first = Examples(dataset, *(rows[kept] for rows in trusted)).batches(_TRUSTED, generator)
    rest = Examples(dataset, *later).batches(effort.batch, generator)

    def draw_loss() -> Tensor:
        (believed, answers), (images, others) = next(first), next(rest)
        features: Tensor = trunk(with_channels_last(torch.cat([believed, images])))
        loss = cross_entropy(head(features[:_TRUSTED]), answers)
        return loss + cross_entropy(other(features[_TRUSTED:]), others)

    score = Examples(dataset, *(rows[held] for rows in trusted)).score
    return learn(Lesson(network, draw_loss, score, other.parameters()), effort)


ATTACK = Attack("two-heads", "learn features from answers that are not believed", steal)
