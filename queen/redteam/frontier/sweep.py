"""The sweep over crossing policies: copies of clean answers, and when honest accounts are over.

A run can be stopped and continued: finished rows are in OUT/rows.jsonl, and copies in the cache.
Shapes: C classes, N images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch

from queen.method.honest.traffic import Kind
from queen.redteam.datasets import Labels
from queen.redteam.frontier.customers import honest_samples, kind_cell, measure_kind, see_images
from queen.redteam.frontier.policies import BREADTHS, CAPS, Contender, contenders
from queen.redteam.frontier.thieves import THIEVES, Rows, Stream
from queen.redteam.learner import LEARNER
from queen.redteam.networks import accuracy
from queen.redteam.plans.plan import IN
from queen.redteam.report.rows import Row, RowFile
from queen.redteam.runs.cache import Cache
from queen.redteam.runs.experiment import Experiment
from queen.redteam.runs.workers import ROWS, Folders
from queen.redteam.targets.base import Answers

ACCOUNTS = (1, 3, 10)
"""Numbers of accounts without a group that a thief has."""
_FIRST_ANSWERS = 1000
"""Answers by which a thief ranks the classes."""


@dataclass(frozen=True)
class Sweep:
    """The sweep of a data set: policies of one budget, thieves of `queries`, honest accounts."""

    dataset: str = "fashion-mnist"
    seeds: Sequence[int] = (0,)
    budget: int = 100
    breadths: Sequence[int] = BREADTHS
    caps: Sequence[int] = CAPS
    queries: int = 20_000
    honest_accounts: int = 1000


def run_sweep(sweep: Sweep, folders: Folders) -> Iterator[Row]:
    """Every row of the sweep as it is known: first the honest accounts of a seed, then thieves.

    Raises ConfigError for a budget or a cap for which the regions have no room.
    """
    torch.set_num_threads(1)
    file = RowFile(folders.out / ROWS, LEARNER)
    for seed in sweep.seeds:
        experiment = Experiment(sweep.dataset, seed, Cache(folders.cache), folders.data_dir)
        policies = list(contenders(experiment.bundle(), sweep.budget, sweep.breadths, sweep.caps))
        for kind in honest_samples(experiment).kinds():
            yield from _honest(experiment, kind, policies, sweep.honest_accounts, file)
        yield from _Thieves(experiment, sweep.queries).measure(policies, file)


def _honest(
    experiment: Experiment, kind: Kind, policies: Sequence[Contender], accounts: int, file: RowFile
) -> Iterator[Row]:
    """Rows of a kind; all policies are measured together."""
    names = [kind_cell(experiment, kind, policy, accounts) for policy in policies]
    if not file.rows.keys() >= set(names):
        for row in measure_kind(experiment, kind, policies, accounts):
            file.append(row)
    yield from (file.rows[name] for name in names)


class _Thieves:
    """Thieves with a pool of images near the protectee's, and copies of their clean answers."""

    def __init__(self, experiment: Experiment, queries: int) -> None:
        self._experiment = experiment
        self._seed = experiment.seed
        self._pool = experiment.pool(IN)
        self._answers = experiment.plain_protectee.run(self._pool).probabilities
        walk = see_images(experiment, self._pool)
        self._stream = Stream(walk, queries, _by_doubt(self._answers[:_FIRST_ANSWERS]))

    def measure(self, policies: Sequence[Contender], file: RowFile) -> Iterator[Row]:
        """A row for each number of accounts, policy and thief, the most useful first."""
        for accounts, policy in product(ACCOUNTS, policies):
            names = {name: self._cell(name, accounts, policy) for name in THIEVES}
            if not file.rows.keys() >= set(names.values()):
                clean = {name: ask(self._stream, policy, accounts) for name, ask in THIEVES.items()}
                for thief in [name for name in THIEVES if names[name] not in file.rows]:
                    key = {"cell": names[thief], "seed": self._seed, **policy.key}
                    figures = {"clean": len(clean[thief]), "copy": self._copy(thief, clean)}
                    file.append({**key, "thief": thief, "accounts": accounts, **figures})
            yield from (file.rows[name] for name in names.values())

    def _cell(self, thief: str, accounts: int, policy: Contender) -> str:
        dataset, queries = self._experiment.dataset, self._stream.queries
        return f"{dataset}-{thief}-{accounts}-{queries}-{policy.name}-{self._seed}"

    def _copy(self, thief: str, clean: Mapping[str, Rows]) -> float | None:
        """Accuracy of a copy of a thief's clean answers; None if another thief has far more.

        Far more is a quarter more in all and as many of every class: such a thief makes the better
        copy, and the time goes to others.
        """
        own = self._by_class(clean[thief])
        others = [self._by_class(rows) for rows in clean.values()]
        if any((own <= other).all() and 1.25 * own.sum() < other.sum() for other in others):
            return None
        rows = clean[thief]
        copy = self._experiment.train_copy(self._pool[rows], self._answers[rows])
        split = self._experiment.split
        return accuracy(copy, split.test_x, split.test_y)

    def _by_class(self, rows: Rows) -> Rows:
        labels = self._stream.walk.samples.labels[rows]
        counts: Rows = np.bincount(labels, minlength=len(self._stream.ranking))
        return counts


def _by_doubt(answers: Answers) -> list[int]:
    """The classes, those first whose answers (N, C) are least sure."""
    entropy = -(answers * np.log(np.maximum(answers, 1e-12))).sum(axis=1)
    labels: Labels = answers.argmax(axis=1)
    counts = np.maximum(np.bincount(labels, minlength=answers.shape[1]), 1)
    doubt = np.bincount(labels, entropy, minlength=answers.shape[1]) / counts
    ranking: list[int] = np.argsort(-doubt, kind="stable").tolist()
    return ranking
