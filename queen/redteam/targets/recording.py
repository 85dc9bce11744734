"""A target that records its traffic, for a comparison after the attack.

Shapes: Q queries, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable

from queen.redteam.datasets import Images
from queen.redteam.targets.base import Account, Answers, HurriedAccount, Target
from queen.redteam.targets.traffic import Exchange, Traffic


class RecordingTarget:
    """A target whose queries and answers are kept; an endpoint tells no verdicts."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._asked: list[Images] = []
        self.traffic = Traffic()

    @property
    def num_classes(self) -> int:
        """C."""
        return self._target.num_classes

    def open_account(self, name: str) -> RecordingAccount:
        """An account of the target, recorded here."""
        return RecordingAccount(self, name, self._target.open_account(name))

    def keep(self, name: str, queries: Images, answers: Answers) -> None:
        """Keep the queries (Q, ...) of an account and their answers (Q, C)."""
        self._asked.append(queries)
        self.traffic.exchanges.append(Exchange(name, answers, None, None))

    def compared_with(self, clean: Account) -> Traffic:
        """The same traffic beside the answers to an account under `observe`."""
        return Traffic(list(self._compare(clean)))

    def _compare(self, clean: Account) -> Iterable[Exchange]:
        for queries, exchange in zip(self._asked, self.traffic, strict=True):
            yield Exchange(exchange.account, exchange.answers, clean.ask(queries), None)


class RecordingAccount:
    """An account whose traffic is recorded by its target."""

    def __init__(self, target: RecordingTarget, name: str, account: Account) -> None:
        self._target = target
        self._name = name
        self._account = account

    def ask(self, queries: Images) -> Answers:
        """Probabilities (Q, C) for `queries` (Q, ...)."""
        answers = self._account.ask(queries)
        self._target.keep(self._name, queries, answers)
        return answers

    def ask_within(self, queries: Images, seconds: float) -> Answers | None:
        """The answers of `ask`, or None if the deadline passes; some accounts have no deadlines."""
        if not isinstance(self._account, HurriedAccount):
            return self.ask(queries)
        answers = self._account.ask_within(queries, seconds)
        if answers is not None:
            self._target.keep(self._name, queries, answers)
        return answers
