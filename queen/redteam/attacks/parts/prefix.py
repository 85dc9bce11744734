"""The prefix: the first answers, which came before any crossing, and a copy made of them.

All attacks that begin with it ask about the same images in the same order, so that a run
which keeps its copies trains this one once.

Shapes: K queries of the prefix, N later images, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from queen.redteam.attacks.base import Thief, ask_spread
from queen.redteam.attacks.parts.answered import answered
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers, MeteredTarget

SHARE = 20
"""The prefix is one query in 20: 1,000 of 20,000."""


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
    """K of `asked` queries: a twentieth, or ten a class if that is more, but at most half."""
    return max(1, min(max(asked // SHARE, 10 * num_classes), asked // 2))


def ask_prefix(target: MeteredTarget, thief: Thief) -> Prefix:
    """Ask about the first K images of the stream and train a copy on nothing else."""
    queries = thief.stream[: prefix_length(len(thief.stream), target.num_classes)]
    answers = ask_spread(target, queries, thief.accounts)
    return Prefix(queries, answers, thief.train(queries, answers))


def ask_rest(target: MeteredTarget, thief: Thief, prefix: Prefix) -> tuple[Images, Answers]:
    """The images after the prefix that were answered, (N, ...), and their answers, (N, C)."""
    images = thief.stream[len(prefix.queries) :]
    return answered(images, ask_spread(target, images, thief.accounts))
