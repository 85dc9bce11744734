"""Quick copies: cheap copies of the answers so far, which tell what a thief still doubts.

Shapes: Q queries, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from queen.redteam.attacks.base import Thief
from queen.redteam.datasets import Images
from queen.redteam.learner import Effort, Examples, Lesson, learn, new_copy
from queen.redteam.targets.base import Answers

STEPS = 400


def quick_copy(thief: Thief, queries: Images, answers: Answers) -> nn.Module:
    """A copy of `answers` (Q, C) to `queries` (Q, ...) after 400 steps, none of them judged."""
    network = new_copy(thief.dataset, thief.seed)
    effort = Effort(check=STEPS, patience=1, most=STEPS)
    generator = torch.Generator().manual_seed(thief.seed)
    batches = Examples(thief.dataset, queries, answers).batches(effort.batch, generator)

    def draw_loss() -> Tensor:
        inputs, targets = next(batches)
        return cross_entropy(network(inputs), targets)

    return learn(Lesson(network, draw_loss, lambda _mean: 0.0), effort)
