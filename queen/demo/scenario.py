"""The scenarios of the demo, and a scenario with its data drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from queen.defaults import BUDGET
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
    """A data set with its budget, its traffic and its training effort.

    `budget` is records of a class before reversal begins; `honest_queries` is the traffic of
    an ordinary account, `thief_queries` that of the thief; `shadow_steps` is the training of
    a shadow model; `piracy_seeds` is the number of copies that an accuracy is averaged over;
    `milestones` are numbers of queries at which copies are also trained for the picture.
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
        # 600 images are too few for thousands of queries, so the pool repeats them with noise.
        draw_queries=lambda split, count, rng: jittered_pool(split.pool_x, count, rng),
    ),
    "fashion-mnist": Scenario(
        dataset="fashion-mnist",
        budget=BUDGET,
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
    """The scenario of a data set; ConfigError names the known sets."""
    if dataset not in SCENARIOS:
        raise ConfigError(f"expected a data set of {', '.join(SCENARIOS)}, got {dataset}")
    return SCENARIOS[dataset]


@dataclass(frozen=True)
class DemoOptions:
    """The options of `queen demo`; without a budget, the scenario's budget is used."""

    dataset: str = "digits"
    out: Path = Path("build/demo")
    data_dir: Path | None = None
    budget: int | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Demo:
    """A scenario with its data divided, the thief's `queries` (Q, ...) drawn and its folder."""

    scenario: Scenario
    split: Split
    queries: Images
    budget: int
    seed: int
    out: Path


def draw_demo(options: DemoOptions) -> Demo:
    """The demo that the options ask for; all random choices in it follow from the seed.

    Raises ConfigError for an unknown data set, or one whose files are missing.
    """
    scenario = scenario_of(options.dataset)
    split = scenario.load(options.seed, options.data_dir)
    rng = np.random.default_rng(options.seed + 1)
    queries = scenario.draw_queries(split, scenario.thief_queries, rng)
    budget = options.budget or scenario.budget
    return Demo(scenario, split, queries, budget, options.seed, options.out)
