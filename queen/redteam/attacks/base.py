"""What every attack shares: the thief's means, and how queries are spread over accounts.

Shapes: Q queries, C classes, N images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers, MeteredTarget


class TrainCopy(Protocol):
    """Trains a piracy model of the thief's own architecture, from scratch."""

    def __call__(
        self, queries: Images, targets: NDArray[np.float32], *, salt: int = 0
    ) -> nn.Module:
        """Soft cross entropy on `targets` (Q, C) at `queries` (Q, ...).

        The epoch is picked on a split of these queries, never on the protectee's test
        set. `salt` makes another initialisation of the same seed.
        """
        ...


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """What the thief saw when he defended a model of his own by the protectee's recipe.

    For N images sent by one fresh account: `clean` (N, C) his model's own answers,
    `defended` (N, C) what the defence made of them, `is_flagged` (N,) which of them
    are answers to REVERSE verdicts, or were changed at all by a defence without verdicts.
    """

    clean: Answers
    defended: Answers
    is_flagged: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Means:
    """What the thief has before the first query.

    `pool` (N, ...) are unlabelled images in the thief's order; `queries` Q is what he may
    ask, over all of `accounts`; everything random follows from `seed`. `train` gives a
    copy. `rehearse` takes a model of his own and images, and says what the defence, whose
    recipe he knows and whose secret he does not, makes of its answers.
    """

    dataset: str
    pool: Images
    queries: int
    seed: int
    accounts: int
    train: TrainCopy
    rehearse: Callable[[nn.Module, Images], Rehearsal]

    @property
    def rng(self) -> np.random.Generator:
        """A generator of the attack's own, the same at every call."""
        return np.random.default_rng([self.seed, 7])

    @property
    def stream(self) -> Images:
        """The first Q images of the pool, (Q', ...); fewer if the pool is smaller."""
        return self.pool[: self.queries]


@dataclass(frozen=True)
class Attack:
    """One way to steal: `steal` asks the target within its budget and returns the copy.

    `needs_rehearsal` marks those that fit the defence to a model of the thief's own.
    """

    name: str
    summary: str
    steal: Callable[[MeteredTarget, Means], nn.Module]
    needs_rehearsal: bool = False


def ask_spread(target: MeteredTarget, queries: Images, accounts: int) -> Answers:
    """Answers (Q, C) to `queries` (Q, ...), dealt out to accounts in turn.

    Query i goes to account i mod `accounts`; each account asks in the order of the queries.
    The accounts share no image, so that nothing but a common group can link them.
    """
    answers = np.empty((len(queries), target.num_classes), np.float32)
    for number in range(min(accounts, len(queries))):
        account = target.open_account(f"thief-{number}")
        answers[number::accounts] = account.ask(queries[number::accounts])
    return answers


def one_hot(answers: Answers) -> Answers:
    """The top-1 labels of answers (Q, C) as corners of the simplex, (Q, C)."""
    corners: Answers = np.eye(answers.shape[1], dtype=np.float32)
    labels: Answers = corners[answers.argmax(axis=1)]
    return labels
