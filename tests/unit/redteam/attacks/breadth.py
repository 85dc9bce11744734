"""A target that turns an account over once several of its classes have had many queries."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers
from tests.unit.redteam.attacks.distorted import SHIFT, protectee_network

BREADTH = 5


@dataclass
class BreadthAccount:
    """An account whose answers name other classes once it is over its budget."""

    most: int
    sent: list[set[bytes]] = field(default_factory=lambda: [set() for _ in range(10)])

    @property
    def is_over(self) -> bool:
        """Whether BREADTH classes had more than `most` distinct queries."""
        return sum(len(queries) > self.most for queries in self.sent) >= BREADTH

    def ask(self, queries: Images) -> Answers:
        """The protectee's answers, each moved to another class from the crossing on."""
        answers = posterior(protectee_network(), queries)
        for row, label in enumerate(answers.argmax(axis=1)):
            if self.is_over:
                answers[row] = answers[row, SHIFT]
            self.sent[label].add(queries[row].tobytes())
        return answers


@dataclass
class BreadthTarget:
    """A target in this process that keeps its accounts.

    `most` distinct queries of a class do not cross it.
    """

    most: int
    num_classes: int = 10
    accounts: dict[str, BreadthAccount] = field(default_factory=dict)

    def open_account(self, name: str) -> BreadthAccount:
        """The account of that name."""
        return self.accounts.setdefault(name, BreadthAccount(self.most))

    @property
    def distinct(self) -> np.ndarray:
        """Distinct queries of each class, over all accounts, (C,)."""
        return np.sum([[len(q) for q in a.sent] for a in self.accounts.values()], axis=0)
