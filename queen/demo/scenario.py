"""What the demo runs, by data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from queen.errors import ConfigError
from queen.redteam.datasets import (
    Images,
    Split,
    jittered_pool,
    load_digits_split,
    load_fashion_mnist_split,
)


@dataclass(frozen=True)
class Scenario:
    """One data set with its budget, its traffic and its training effort.

    `budget` is records of one class before reversal begins; `honest_queries` is what an
    ordinary account sends, `thief_queries` what the thief sends; `shadow_steps` is how
    long a shadow trains; `piracy_seeds` is how many copies each accuracy is averaged over;
    `milestones` are the query counts at which copies are also trained for the plot.
    """

    dataset: str
    budget: int
    honest_queries: int
    thief_queries: int
    protectee_epochs: int
    shadow_steps: int
    piracy_seeds: int
    milestones: tuple[int, ...]
    load: Callable[[int, Path | None], Split]
    draw_queries: Callable[[Split, int, np.random.Generator], Images]


SCENARIOS = {
    "digits": Scenario(
        dataset="digits",
        budget=10,
        honest_queries=80,
        thief_queries=3000,
        protectee_epochs=60,
        shadow_steps=20,
        piracy_seeds=3,
        milestones=(100, 200, 400, 800, 1600),
        load=lambda seed, _folder: load_digits_split(seed),
        # Six hundred images are too few for thousands of queries: jitter them.
        draw_queries=lambda split, count, rng: jittered_pool(split.pool_x, count, rng),
    ),
    "fashion-mnist": Scenario(
        dataset="fashion-mnist",
        budget=100,
        honest_queries=500,
        thief_queries=20_000,
        protectee_epochs=8,
        shadow_steps=20,
        piracy_seeds=1,
        milestones=(1000, 5000),
        load=load_fashion_mnist_split,
        draw_queries=lambda split, count, rng: split.pool_x[
            rng.permutation(len(split.pool_x))[:count]
        ],
    ),
}


def scenario_of(dataset: str) -> Scenario:
    """The scenario of a data set; ConfigError names those there are."""
    if dataset not in SCENARIOS:
        raise ConfigError(f"expected a data set of {', '.join(SCENARIOS)}, got {dataset}")
    return SCENARIOS[dataset]
