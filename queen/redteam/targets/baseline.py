"""A protectee in this process, defended by a baseline.

Shapes: Q queries, C classes.
"""

from __future__ import annotations

from functools import partial

from queen.redteam.datasets import Images
from queen.redteam.defenses import Answer, Asked
from queen.redteam.targets.base import Answers, LocalAccount
from queen.redteam.targets.protectee import CachedProtectee
from queen.redteam.targets.traffic import Exchange, Traffic


class BaselineTarget:
    """A baseline's answers for a protectee; `traffic` is the evaluator's record."""

    def __init__(self, protectee: CachedProtectee, answer: Answer) -> None:
        self._protectee = protectee
        self._answer = answer
        self.num_classes = protectee.num_classes
        self.traffic = Traffic()

    def open_account(self, name: str) -> LocalAccount:
        """An account; a baseline answers all accounts alike."""
        return LocalAccount(partial(self.answer, name), self.num_classes, batch_rows=None)

    def answer(self, name: str, queries: Images) -> Answers:
        """Answers (Q, C) to the account of that name, kept in `traffic`."""
        outputs = self._protectee.run(queries)
        answers = self._answer(Asked(queries, outputs.probabilities, outputs.features))
        self.traffic.exchanges.append(Exchange(name, answers, outputs.probabilities, None))
        return answers
