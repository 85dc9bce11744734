"""The scenarios of the demo, and a scenario with its data drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from queen import defaults
from queen.errors import ConfigError
from queen.method.honest.input_changes import InputChanges
from queen.method.honest.traffic import ClassRows, Kind
from queen.redteam.datasets import (
    Images,
    Labels,
    Split,
    load_digits_split,
    load_fashion_mnist_split,
)
from queen.redteam.pools import draw_pool


@dataclass(frozen=True)
class Scenario:
    """A data set with its budget, its traffic and its training effort.

    `budget` is records of a class; `ordinary_queries` is the traffic of an ordinary customer,
    `heavy_queries` that of the other customers, `thief_queries` that of each thief;
    `repeated_items` is the number of images that a customer asks about again and again;
    `shadow_steps` is the training of a shadow model; `piracy_seeds` is the number of copies that
    an accuracy is averaged over.
    """

    dataset: str
    budget: int
    ordinary_queries: int
    heavy_queries: int
    thief_queries: int
    repeated_items: int
    protectee_epochs: int
    shadow_steps: int
    piracy_seeds: int
    load: Callable[[int, Path | None], Split]


SCENARIOS = {
    "digits": Scenario(
        dataset="digits",
        budget=10,
        ordinary_queries=80,
        heavy_queries=2000,
        thief_queries=3000,
        repeated_items=30,
        protectee_epochs=60,
        shadow_steps=20,
        piracy_seeds=3,
        load=lambda seed, _folder: load_digits_split(seed),
    ),
    "fashion-mnist": Scenario(
        dataset="fashion-mnist",
        budget=defaults.BUDGET,
        ordinary_queries=500,
        heavy_queries=10_000,
        thief_queries=20_000,
        repeated_items=300,
        protectee_epochs=8,
        shadow_steps=20,
        piracy_seeds=1,
        load=load_fashion_mnist_split,
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
class Thief:
    """A thief with the images of a pool, (Q, ...); `title` names them for a reader."""

    name: str
    title: str
    queries: Images


@dataclass(frozen=True, eq=False)
class Customer:
    """An honest account with its queries (Q, ...) and their true labels (Q,)."""

    name: str
    title: str
    queries: Images
    truth: Labels


@dataclass(frozen=True, eq=False)
class Demo:
    """A scenario with its data divided, its thieves and customers, and its folder."""

    scenario: Scenario
    split: Split
    thieves: tuple[Thief, ...]
    customers: tuple[Customer, ...]
    budget: int
    seed: int
    out: Path


_POOLS = {
    "in-distribution": "images like the model's own",
    "mixup": "mixtures of two such images",
    "off-distribution": "images of another kind",
}
"""The pools of the thieves, in words."""


def draw_demo(options: DemoOptions) -> Demo:
    """The demo that the options ask for; all random choices in it follow from the seed.

    Raises ConfigError for an unknown data set, or one whose files are missing.
    """
    scenario = scenario_of(options.dataset)
    split = scenario.load(options.seed, options.data_dir)
    thieves = tuple(
        Thief(
            f"thief-{pool}",
            title,
            draw_pool(pool, split, options.seed, options.data_dir)[: scenario.thief_queries],
        )
        for pool, title in _POOLS.items()
    )
    customers = draw_customers(scenario, split, options.seed)
    budget = options.budget or scenario.budget
    return Demo(scenario, split, thieves, customers, budget, options.seed, options.out)


def draw_customers(scenario: Scenario, split: Split, seed: int) -> tuple[Customer, ...]:
    """The four customers, who ask about test images.

    The heavy ones ask more than there are images, so that they see slight changes of them.
    """
    rng = np.random.default_rng([seed, 1])
    changes = InputChanges(split.test_x)

    def customer(name: str, title: str, kind: Kind, count: int, among: int) -> Customer:
        rows = ClassRows(split.test_y[:among]).draw(kind, count, rng)
        return Customer(name, title, changes.slight(split.test_x[rows], rng), split.test_y[rows])

    heavy, few, everything = scenario.heavy_queries, scenario.repeated_items, len(split.test_y)
    return (
        customer(
            "ordinary", "an ordinary customer", Kind.EVEN, scenario.ordinary_queries, everything
        ),
        customer("two-classes", "heavy, on two classes", Kind.TWO_CLASSES, heavy, everything),
        customer("repeated-items", f"heavy, on the same {few} items", Kind.REPEATED, heavy, few),
        customer("all-classes", "heavy, on everything", Kind.EVEN, heavy, everything),
    )
