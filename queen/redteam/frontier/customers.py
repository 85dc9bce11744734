"""The honest side of the frontier: when accounts of each kind of traffic are over their budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from queen.defaults import CHARGE
from queen.method.honest.traffic import HonestSamples, Kind
from queen.method.walk.ledger_walk import NEVER, LedgerWalk
from queen.method.walk.sent_samples import SentSamples
from queen.redteam.datasets import Images
from queen.redteam.frontier.policies import Contender
from queen.redteam.report.rows import Row
from queen.redteam.runs.experiment import Experiment
from queen.redteam.runs.honest import held_out

QUERIES = 10_000
"""Queries of an honest account."""


def honest_samples(experiment: Experiment) -> HonestSamples:
    """The images that honest accounts of an experiment send."""
    return HonestSamples(*held_out(experiment.split))


def see_images(experiment: Experiment, images: Images) -> LedgerWalk:
    """The images (N, ...) as a walk knows them: by embedding and predicted class."""
    outputs = experiment.plain_protectee.run(images)
    labels = outputs.probabilities.argmax(axis=1)
    return LedgerWalk(SentSamples(experiment.bundle().geometry, outputs.embeddings, labels, CHARGE))


def kind_cell(experiment: Experiment, kind: Kind, policy: Contender, accounts: int) -> str:
    """The name of a row; rows of other choices have other names."""
    return f"{experiment.dataset}-{kind}-{accounts}-{policy.name}-{experiment.seed}"


def measure_kind(
    experiment: Experiment, kind: Kind, policies: Sequence[Contender], accounts: int
) -> Iterator[Row]:
    """A row for each policy: when `accounts` accounts of a kind are over.

    `answers` are the 0.1 %, 50 % and 99.9 % quantiles of the answers before an account is over,
    None for never; `over` counts the accounts that are over within their 10,000 queries.
    """
    rng = np.random.default_rng([experiment.seed, list(Kind).index(kind), 13])
    views = honest_samples(experiment).views(kind, rng)
    walk = see_images(experiment, views.inputs)
    orders = views.orders(accounts, QUERIES, rng)
    levels = np.concatenate([policy.levels for policy in policies])
    standings = walk.standings(orders, levels)
    for index, policy in enumerate(policies):
        over = standings.over(policy.breadth, level=2 * index, cap=2 * index + 1)
        quantiles = np.quantile(over, [0.001, 0.5, 0.999], method="lower")
        yield {
            "cell": kind_cell(experiment, kind, policy, accounts),
            "seed": experiment.seed,
            **policy.key,
            "kind": kind.value,
            "accounts": accounts,
            "answers": [None if value == NEVER else int(value) + 1 for value in quantiles],
            "over": int((over < NEVER).sum()),
        }
