"""Targets of an attack: accounts that answer, and the meter that charges every query.

Shapes: Q queries, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from queen.errors import BudgetExceeded
from queen.redteam.datasets import Images

Answers = NDArray[np.float32]
"""Probabilities of C classes for each of several queries; NaN for a query that was refused."""
BATCH_ROWS = 1024
"""Queries that a target in this process answers at once; the number changes no answer."""


def refusals(count: int, num_classes: int) -> Answers:
    """The rows (count, C) that stand for refused queries."""
    return np.full((count, num_classes), np.nan, np.float32)


class Account(Protocol):
    """An account at a target, named by one credential."""

    def ask(self, queries: Images) -> Answers:
        """Probabilities (Q, C) for `queries` (Q, ...), asked in order; every row is charged.

        A target that refuses a query gives NaN for it, and answers the others.
        """
        ...


@runtime_checkable
class HurriedAccount(Protocol):
    """An account at an endpoint that knows deadlines."""

    def ask_within(self, queries: Images, seconds: float) -> Answers | None:
        """Probabilities (Q, C) for `queries` (Q, ...) in one request; None if too late."""
        ...


class Target(Protocol):
    """A served classifier as a thief sees it: it hands out accounts, and they answer."""

    @property
    def num_classes(self) -> int:
        """C."""
        ...

    def open_account(self, name: str) -> Account:
        """A fresh account; the same name is the same account."""
        ...


class LocalAccount:
    """An account of a target in this process, asked in batches of at most `batch_rows`.

    Without `batch_rows` all queries are one batch. No queries get no answers, (0, C).
    """

    def __init__(
        self,
        answer: Callable[[Images], Answers],
        num_classes: int,
        batch_rows: int | None = BATCH_ROWS,
    ) -> None:
        self._answer = answer
        self._num_classes = num_classes
        self._batch_rows = batch_rows

    def ask(self, queries: Images) -> Answers:
        """Probabilities (Q, C) for `queries` (Q, ...), asked in order."""
        size = self._batch_rows or max(len(queries), 1)
        starts = range(0, len(queries), size)
        answers = [self._answer(queries[start : start + size]) for start in starts]
        return np.concatenate([np.empty((0, self._num_classes), np.float32), *answers])


class MeteredTarget:
    """A target that charges every row of every account to one budget of `queries`.

    A query is one image sent once: its second copy costs as much as its first. Raises
    BudgetExceeded, before anything is sent, for a batch that is not covered.
    """

    def __init__(self, target: Target, queries: int) -> None:
        self._target = target
        self.budget = queries
        self.spent = 0

    @property
    def num_classes(self) -> int:
        """C."""
        return self._target.num_classes

    @property
    def left(self) -> int:
        """Queries that may still be asked."""
        return self.budget - self.spent

    def open_account(self, name: str) -> MeteredAccount:
        """A fresh account whose queries are charged here."""
        return MeteredAccount(self, self._target.open_account(name))

    def charge(self, queries: int) -> None:
        """Charge that many queries to the budget."""
        if queries > self.left:
            raise BudgetExceeded(
                f"expected at most {self.left} more queries of {self.budget}, got {queries}"
            )
        self.spent += queries


class MeteredAccount:
    """An account, every row of which is charged to the budget of its target."""

    def __init__(self, meter: MeteredTarget, account: Account) -> None:
        self._meter = meter
        self._account = account

    def ask(self, queries: Images) -> Answers:
        """Probabilities (Q, C) for `queries` (Q, ...)."""
        self._meter.charge(len(queries))
        return self._account.ask(queries)

    def ask_within(self, queries: Images, seconds: float) -> Answers | None:
        """The answers of `ask`, or None if the deadline passes; the queries are charged either way.

        An account without deadlines always answers.
        """
        self._meter.charge(len(queries))
        if isinstance(self._account, HurriedAccount):
            return self._account.ask_within(queries, seconds)
        return self._account.ask(queries)
