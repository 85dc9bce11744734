"""The first answers, which no defence with a budget has changed yet, and a copy made of them.

Every attack that starts so asks the same images in the same order, so that a harness
that keeps what it trained trains that copy once.

Shapes: K queries of the prefix, N later images, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from queen.redteam.attacks.base import Means, ask_spread
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers, MeteredTarget

SHARE = 20
"""One query in so many is of the prefix: 1,000 of 20,000."""


@dataclass(frozen=True, eq=False)
class Prefix:
    """`queries` (K, ...) with their `answers` (K, C), and the `copy` trained on them alone."""

    queries: Images
    answers: Answers
    copy: nn.Module

    def followed_by(self, images: Images, targets: Answers) -> tuple[Images, Answers]:
        """The prefix as it was answered, then `images` (N, ...) with `targets` (N, C)."""
        return (
            np.concatenate([self.queries, images]),
            np.concatenate([self.answers, targets.astype(np.float32)]),
        )


def prefix_length(asked: int, num_classes: int) -> int:
    """K of so many queries: a twentieth, or ten a class if that is more, but at most half."""
    return max(1, min(max(asked // SHARE, 10 * num_classes), asked // 2))


def ask_prefix(target: MeteredTarget, means: Means) -> Prefix:
    """Ask the first K images of the stream and train a copy on nothing else."""
    queries = means.stream[: prefix_length(len(means.stream), target.num_classes)]
    answers = ask_spread(target, queries, means.accounts)
    return Prefix(queries, answers, means.train(queries, answers))


def ask_rest(target: MeteredTarget, means: Means, prefix: Prefix) -> tuple[Images, Answers]:
    """The images of the stream after the prefix, (N, ...), and their answers, (N, C)."""
    images = means.stream[len(prefix.queries) :]
    return images, ask_spread(target, images, means.accounts)
