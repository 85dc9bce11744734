"""A target whose answers are distorted, and a thief with little time, for every attack.

The protectee is trained on digits; distortions depend on the number of earlier answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch
from torch import nn

from queen.redteam.attacks import ATTACKS
from queen.redteam.attacks.base import Simulation, Thief
from queen.redteam.attacks.parts.answered import answered
from queen.redteam.attacks.parts.prefix import prefix_length
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.datasets import Images, load_digits_split
from queen.redteam.networks import Regime, accuracy, build_network, train_network
from queen.redteam.targets.base import Answers, MeteredTarget

FEW, MANY = 40, 600
PREFIX = prefix_length(MANY, 10)
SPLIT = load_digits_split(0)
SHIFT = np.roll(np.arange(10), 3)

Distort = Callable[[Answers, int], Answers]


@cache
def protectee_network() -> nn.Module:
    """The protectee of all attacks, trained once."""
    torch.manual_seed(0)
    return train_network(build_network("digits"), SPLIT.train_x, SPLIT.train_y, Regime(15, 0))


@dataclass
class DistortedAccount:
    """A protectee's answers, distorted by the number of earlier answers to the account."""

    distort: Distort
    asked: list[Images] = field(default_factory=list)

    def ask(self, queries: Images) -> Answers:
        """The distorted answers."""
        had = sum(map(len, self.asked))
        self.asked.append(queries)
        return self.distort(posterior(protectee_network(), queries), had)


@dataclass
class DistortedTarget:
    """A target in this process that keeps its accounts."""

    distort: Distort = lambda answers, _had: answers
    num_classes: int = 10
    accounts: dict[str, DistortedAccount] = field(default_factory=dict)

    def open_account(self, name: str) -> DistortedAccount:
        """The account of that name."""
        return self.accounts.setdefault(name, DistortedAccount(self.distort))

    def asked(self) -> Images:
        """All queries, account after account."""
        return np.concatenate([part for a in self.accounts.values() for part in a.asked])


def train_quickly(queries: Images, targets: Answers, *, salt: int = 0) -> nn.Module:
    """About 40 quick steps, enough for a copy and little enough for a test."""
    queries, targets = answered(queries, targets)
    torch.manual_seed(salt)
    epochs = 40 // math.ceil(len(queries) / 128)
    network = build_network("digits", 0.5)
    return train_network(network, queries, targets, Regime(epochs, salt, rate=15e-3, batch=128))


def simulate(network: nn.Module, images: Images) -> Simulation:
    """A defense of which every third answer names another class."""
    clean = posterior(network, images)
    is_flagged = np.arange(len(images)) % 3 == 0
    defended = np.where(is_flagged[:, None], clean[:, SHIFT], clean)
    return Simulation(clean, defended, is_flagged)


def thief_with(queries: int, *, accounts: int = 1, pool: Images = SPLIT.pool_x) -> Thief:
    """A thief of the digits who may ask that many queries."""
    return Thief("digits", pool, queries, 0, accounts, train_quickly, simulate)


def steal(name: str, target: DistortedTarget, thief: Thief) -> tuple[nn.Module, MeteredTarget]:
    """The copy of an attack, and the meter that it was charged to."""
    meter = MeteredTarget(target, thief.queries)
    return ATTACKS[name].steal(meter, thief), meter


def score(network: nn.Module) -> float:
    """Accuracy of a copy on the test set."""
    return accuracy(network, SPLIT.test_x, SPLIT.test_y)


def assert_same_copy(first: nn.Module, second: nn.Module) -> None:
    """Equal but for the last bits, which depend on how an array lies in memory."""
    one, other = (posterior(network, SPLIT.test_x) for network in (first, second))
    np.testing.assert_allclose(one, other, atol=1e-4)


@cache
def undefended(name: str, queries: int) -> nn.Module:
    """The copy of an attack on an undefended target, made once."""
    return steal(name, DistortedTarget(), thief_with(queries))[0]


def after_prefix(change: Callable[[Answers], Answers]) -> Distort:
    """Answers that are clean until the account has had PREFIX of them."""
    return after(PREFIX, change)


def after(clean: int, change: Callable[[Answers], Answers]) -> Distort:
    """Answers that are clean until the account has had that many of them."""

    def distort(answers: Answers, had: int) -> Answers:
        is_late = had + np.arange(len(answers)) >= clean
        return np.where(is_late[:, None], change(answers), answers).astype(np.float32)

    return distort


def refused(answers: Answers, *, share: float) -> Answers:
    """The answers without a random `share` of them, whose queries were refused."""
    is_refused = np.random.default_rng(2).random(len(answers)) < share
    return np.where(is_refused[:, None], np.float32(np.nan), answers)


def garbage(answers: Answers) -> Answers:
    """Nearly uniform vectors, of high entropy and of a random label."""
    rng = np.random.default_rng(1)
    return rng.dirichlet(np.full(10, 20.0), len(answers)).astype(np.float32)
