"""The traffic of a target, seen by the evaluator and by no attack.

Shapes: Q queries, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from queen.redteam.targets.base import Answers


@dataclass(frozen=True, eq=False)
class Exchange:
    """A batch of an account: the answers, the protectee's own, the reversed rows.

    `answers` and `own` (Q, C); `is_reversed` (Q,), None for a defense without verdicts
    or an endpoint that does not tell. A query beyond the range of the inputs has NaN in both and no
    verdict.
    """

    account: str
    answers: Answers
    own: Answers | None
    is_reversed: NDArray[np.bool_] | None


@dataclass(eq=False)
class Traffic:
    """All exchanges of a target, in the order they were sent."""

    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def queries(self) -> int:
        """Rows sent, over all accounts."""
        return sum(len(exchange.answers) for exchange in self.exchanges)

    @property
    def answers(self) -> Answers:
        """All answers (Q, C)."""
        return np.concatenate([exchange.answers for exchange in self.exchanges])

    @property
    def own(self) -> Answers | None:
        """The protectee's own answers to the same rows (Q, C), where they are known."""
        parts = [exchange.own for exchange in self.exchanges if exchange.own is not None]
        return np.concatenate(parts) if len(parts) == len(self.exchanges) > 0 else None

    @property
    def is_reversed(self) -> NDArray[np.bool_] | None:
        """The rows with a REVERSE verdict, (Q,); None without verdicts."""
        flags = [
            exchange.is_reversed for exchange in self.exchanges if exchange.is_reversed is not None
        ]
        return np.concatenate(flags) if len(flags) == len(self.exchanges) > 0 else None

    def of(self, account: str) -> Traffic:
        """The exchanges of one account."""
        return Traffic([exchange for exchange in self.exchanges if exchange.account == account])

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self.exchanges)
