"""The copies that an attack trains, so that the one it returns can become an ensemble.

Shapes: Q queries, C classes, N images.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from queen.errors import FitError
from queen.redteam.attacks.base import TrainCopy
from queen.redteam.datasets import Images

_SALT = 100
"""The first salt of further members, above those that attacks use."""


class CopyEnsemble(nn.Module):
    """Copies that answer together: the logarithm of the mean of their probabilities."""

    def __init__(self, copies: list[nn.Module]) -> None:
        super().__init__()
        self.copies = nn.ModuleList(copies)

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, ...) -> (N, C)."""
        logs = torch.stack([torch.log_softmax(copy(inputs), dim=1) for copy in self.copies])
        return torch.logsumexp(logs, dim=0) - math.log(len(self.copies))


class CopyTrainer:
    """Trains copies as `train` does, and ensembles of `members` copies of the same answers."""

    def __init__(self, train: TrainCopy, members: int) -> None:
        self._train = train
        self._members = members
        self._lessons: dict[int, tuple[nn.Module, Images, NDArray[np.float32]]] = {}

    def __call__(
        self, queries: Images, targets: NDArray[np.float32], *, salt: int = 0
    ) -> nn.Module:
        """A single copy, see `queen.redteam.attacks.base.TrainCopy`."""
        copy = self._train(queries, targets, salt=salt)
        if self._members > 1:
            # The copy is kept beside its lesson, so that no other object gets its id.
            self._lessons[id(copy)] = copy, queries, targets
        return copy

    def with_company(self, copy: nn.Module) -> nn.Module:
        """The copy in an ensemble with others of its lesson; alone if there is one member.

        No further query is asked. Raises FitError for a network that was not trained here.
        """
        if self._members == 1:
            return copy
        if id(copy) not in self._lessons:
            raise FitError("expected a copy by the thief's learner, got a network of the attack's")
        _, queries, targets = self._lessons[id(copy)]
        others = range(_SALT, _SALT + self._members - 1)
        return CopyEnsemble([copy, *(self._train(queries, targets, salt=salt) for salt in others)])
