"""What is attacked: answers for accounts, and the meter that no attack gets around.

Shapes: Q queries, C classes.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from queen.errors import BudgetExceeded
from queen.redteam.datasets import Images

Answers = NDArray[np.float32]


class Account(Protocol):
    """One credential."""

    def ask(self, queries: Images) -> Answers:
        """Probabilities (Q, C) for `queries` (Q, ...), taken in order; every row is charged."""
        ...


@runtime_checkable
class HurriedAccount(Protocol):
    """One credential at an endpoint that knows deadlines."""

    def ask_within(self, queries: Images, seconds: float) -> Answers | None:
        """Probabilities (Q, C) for `queries` (Q, ...) in one request; None if too late."""
        ...


class Target(Protocol):
    """An endpoint as a thief sees it: it hands out accounts, and they answer."""

    @property
    def num_classes(self) -> int:
        """C."""
        ...

    def open_account(self, name: str) -> Account:
        """A fresh account; the same name is the same account."""
        ...


class MeteredTarget:
    """A target that charges every row of every account to one budget of `queries`.

    One query is one image sent once: the second copy of an image costs what the first
    did. Raises BudgetExceeded, before anything is sent, for a batch that is not covered.
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
        """Take so many queries from the budget."""
        if queries > self.left:
            raise BudgetExceeded(
                f"expected at most {self.left} more queries of {self.budget}, got {queries}"
            )
        self.spent += queries


class MeteredAccount:
    """One credential, every row of which is charged to the budget of its target."""

    def __init__(self, meter: MeteredTarget, account: Account) -> None:
        self._meter = meter
        self._account = account

    def ask(self, queries: Images) -> Answers:
        """Probabilities (Q, C) for `queries` (Q, ...)."""
        self._meter.charge(len(queries))
        return self._account.ask(queries)

    def ask_within(self, queries: Images, seconds: float) -> Answers | None:
        """As `ask`, or None if the deadline passes; charged either way.

        An account without deadlines answers always.
        """
        self._meter.charge(len(queries))
        if isinstance(self._account, HurriedAccount):
            return self._account.ask_within(queries, seconds)
        return self._account.ask(queries)
