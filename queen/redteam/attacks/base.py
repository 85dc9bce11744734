"""The parts of every attack: the thief, their budget, and the accounts they ask through.

Shapes: Q queries, C classes, N images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from queen.errors import ConfigError
from queen.redteam.attacks.parts.answered import answered
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers, MeteredTarget


class TrainCopy(Protocol):
    """Trains a copy of the thief's own architecture, from scratch."""

    def __call__(
        self, queries: Images, targets: NDArray[np.float32], *, salt: int = 0
    ) -> nn.Module:
        """Soft cross entropy on `targets` (Q, C) at `queries` (Q, ...).

        Refused queries, whose targets are NaN, are left out. A split of the others says how long to
        train, never the protectee's test set; see `queen.redteam.learner`. `salt` makes another
        copy of the same seed.
        """
        ...


@dataclass(frozen=True, eq=False)
class Simulation:
    """A defense as the thief simulates it on a model of their own, by its public recipe.

    For N images sent by one fresh account: `clean` (N, C) are the model's own answers, `defended`
    (N, C) those of the simulated defense. `is_flagged` (N,) marks answers to REVERSE verdicts, or,
    for a defense without verdicts, answers that it changed.
    """

    clean: Answers
    defended: Answers
    is_flagged: NDArray[np.bool_]


Simulate = Callable[[nn.Module, Images], Simulation]
"""Simulates the attacked defense on a model of the thief's own and images (N, ...)."""


def _no_recipe(_model: nn.Module, _images: Images) -> Simulation:
    raise ConfigError("expected a thief who knows the defense's recipe, got a thief without it")


@dataclass(frozen=True, eq=False)
class Thief:
    """The thief before the first query: images, a budget, accounts and a seed.

    `pool` (N, ...) are unlabeled images in the thief's order; `queries` Q is the budget,
    over all of `accounts`; everything random follows from `seed`. `train` gives a copy.
    `simulate` knows the defense's recipe and not its secret; without it a simulation
    raises ConfigError.
    """

    dataset: str
    pool: Images
    queries: int
    seed: int
    accounts: int
    train: TrainCopy
    simulate: Simulate = _no_recipe

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
    """An attack: `steal` asks the target within its budget and returns the copy.

    `knows_recipe` marks the attacks that simulate the defense on a model of the thief's own.
    """

    name: str
    summary: str
    steal: Callable[[MeteredTarget, Thief], nn.Module]
    knows_recipe: bool = False


def ask_spread(target: MeteredTarget, queries: Images, accounts: int) -> Answers:
    """Answers (Q, C) to `queries` (Q, ...), dealt out to accounts in turn.

    Query i goes to account i mod `accounts`; each account asks in the order of the queries.
    The accounts share no image, so that only a common group can link them. A refused query has NaN
    for its answer.
    """
    answers = np.empty((len(queries), target.num_classes), np.float32)
    for index in range(min(accounts, len(queries))):
        account = target.open_account(account_name(index))
        answers[index::accounts] = account.ask(queries[index::accounts])
    return answers


def ask_stream(target: MeteredTarget, thief: Thief) -> tuple[Images, Answers]:
    """The queries of the stream that were answered, (Q, ...), and their answers, (Q, C)."""
    return answered(thief.stream, ask_spread(target, thief.stream, thief.accounts))


def account_name(index: int) -> str:
    """The name under which the thief opens an account."""
    return f"thief-{index}"


def one_hot(answers: Answers) -> Answers:
    """The top-1 labels of answers (Q, C) as corners of the simplex, (Q, C)."""
    return corners(answers.argmax(axis=1), answers.shape[1])


def halfway(answers: Answers) -> Answers:
    """Answers (Q, C) drawn halfway to their top-1 labels, (Q, C).

    A clean answer is softened as far as its label lets it be: halfway between the answer and the
    label lies nearer to the protectee's own answer than either of them.
    """
    return np.float32(0.5) * (answers + one_hot(answers))


def corners(labels: NDArray[np.int64], num_classes: int) -> Answers:
    """Labels (Q,) as corners of the simplex, (Q, C)."""
    rows: Answers = np.eye(num_classes, dtype=np.float32)[labels]
    return rows
