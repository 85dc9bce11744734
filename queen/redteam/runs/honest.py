"""Honest accounts under a defense, one kind of traffic after another.

Shapes: Q queries, C classes, N images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from queen.method.honest.traffic import CHANGED, HonestSamples, Kind, Rows
from queen.redteam.datasets import Images, Labels, Split
from queen.redteam.plans.cell import Cell
from queen.redteam.runs.defense_under_test import DefenseUnderTest
from queen.redteam.runs.experiment import Experiment
from queen.redteam.runs.figures import Honest, honest_figures, mean_figures, of_kinds
from queen.redteam.targets.base import Answers, Target

_QUERIES = 10_000
"""Queries of an honest account of a defense with ledgers; fewer if there are fewer images."""
_CHANGED_QUERIES = 1000
"""Changed images that a defense without a memory is asked about."""
_ACCOUNTS = {Kind.ONE_CLASS: 3, Kind.TWO_CLASSES: 3, Kind.FOUR_CLASSES: 3, Kind.ZIPF: 3}
"""Accounts of a kind whose classes are drawn; their figures are means."""

Ask = Callable[[str, Images, Rows], Answers]
"""Answers (Q, C) to an account's images (Q, ...), which are samples of these rows (Q,)."""


def measure_honest(experiment: Experiment, defense: DefenseUnderTest, cell: Cell) -> Honest:
    """Figures of fresh honest accounts, each of a kind, that send images nobody trained on.

    A defense without a memory gives an image the same answer whoever asks: it is asked about the
    test set once, and about the changed images of few queries.
    """
    with defense.deployed(grouped=False) as target:
        if cell.is_ours:
            customers = _Customers(experiment, *held_out(experiment.split))
            return customers.measure(partial(_ask, target), _QUERIES, _QUERIES)
        customers = _Customers(experiment, experiment.split.test_x, experiment.split.test_y)
        known = target.open_account("honest").ask(customers.images)
        return customers.measure(partial(_recall, target, known), _QUERIES, _CHANGED_QUERIES)


def held_out(split: Split) -> tuple[Images, Labels]:
    """The images that the protectee did not train on, (N, ...), with true labels (N,)."""
    images: Images = np.concatenate([split.test_x, split.pool_x])
    labels: Labels = np.concatenate([split.test_y, split.pool_y])
    return images, labels


def _ask(target: Target, account: str, inputs: Images, _rows: Rows) -> Answers:
    return target.open_account(account).ask(inputs)


def _recall(target: Target, known: Answers, account: str, inputs: Images, rows: Rows) -> Answers:
    """Answers of a defense without a memory; those to unchanged images are `known` (N, C)."""
    if account.startswith(CHANGED):
        return target.open_account(account).ask(inputs)
    return known[rows]


@dataclass(frozen=True, eq=False)
class _Customers:
    """Honest accounts of an experiment that send `images` (N, ...) of true `labels` (N,)."""

    experiment: Experiment
    images: Images
    labels: Labels

    def measure(self, ask: Ask, most: int, most_changed: int) -> Honest:
        """The figures of all kinds, from at most so many queries of an account."""
        samples = HonestSamples(self.images, self.labels)
        figures = {}
        for index, kind in enumerate(samples.kinds()):
            queries = min(most_changed if kind in CHANGED else most, len(self.images))
            accounts = []
            for account in range(_ACCOUNTS.get(kind, 1)):
                rng = np.random.default_rng([self.experiment.seed, 5, index, account])
                inputs, rows = samples.send(kind, queries, rng)
                answers = ask(f"{kind} {account}", inputs, rows)
                own = self.experiment.plain_protectee.run(inputs).probabilities.argmax(axis=1)
                accounts.append(honest_figures(answers, self.labels[rows], own))
            figures[kind.value] = mean_figures(accounts)
        return of_kinds(figures)
