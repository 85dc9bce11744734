"""A defense whose recipe is known, and a thief whose lessons are kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from queen.redteam.attacks import ATTACKS
from queen.redteam.attacks.base import Simulation, Thief
from queen.redteam.datasets import Images, Split
from queen.redteam.learner import train_piracy_model
from queen.redteam.targets.base import Answers, MeteredTarget


def softmax(network: nn.Module, images: Images) -> Answers:
    """Probabilities (N, C) of images (N, ...)."""
    with torch.inference_mode():
        return network(torch.from_numpy(images)).softmax(dim=1).numpy()


def distorted(clean: Answers) -> Answers:
    """A defense that can be undone: classes moved by one, and a third of the mass spread."""
    return (np.roll(clean, 1, axis=1) * 2 / 3 + 1 / 30).astype(np.float32)


class Served:
    """A protectee behind a defense; `received` are the batches of each account."""

    num_classes = 10

    def __init__(self, network: nn.Module, defense: Callable[[Answers], Answers]) -> None:
        self.network, self.defense = network, defense
        self.received: dict[str, list[Images]] = {}

    def open_account(self, name: str) -> ServedAccount:
        """An account that keeps its queries."""
        return ServedAccount(self, self.received.setdefault(name, []))


class ServedAccount:
    """An account that keeps its queries."""

    def __init__(self, served: Served, received: list[Images]) -> None:
        self.served, self.received = served, received

    def ask(self, queries: Images) -> Answers:
        """Defended answers."""
        self.received.append(queries)
        return self.served.defense(softmax(self.served.network, queries))


def is_odd(images: Images) -> np.ndarray:
    """Verdicts that are easy to foresee: whether the gray levels of an image have an odd sum."""
    return np.rint(images.sum(axis=1) * 16).astype(int) % 2 == 1


def simulate(twin: nn.Module, images: Images) -> Simulation:
    """The simulation of a thief who knows `distorted` and `is_odd`."""
    clean = softmax(twin, images)
    return Simulation(clean, distorted(clean), is_odd(images))


class Lessons:
    """A thief's training that keeps the lessons; only the first one is really learned."""

    def __init__(self) -> None:
        self.given: list[tuple[Images, Answers]] = []
        self.copies: list[nn.Module] = []

    def __call__(self, queries: Images, targets: Answers, *, salt: int = 0) -> nn.Module:
        """A copy of the first lesson."""
        self.given.append((queries, targets))
        learned = (
            train_piracy_model("digits", queries, targets, seed=salt) if not self.copies else 0
        )
        self.copies.append(learned or self.copies[0])
        return self.copies[-1]


def thief_of(split: Split, queries: int, train: Lessons | None = None, accounts: int = 1) -> Thief:
    """A thief of the digits who may ask that many queries."""
    return Thief("digits", split.pool_x, queries, 0, accounts, train or Lessons(), simulate)


def steal(name: str, protectee: nn.Module, thief: Thief, defense=distorted) -> Served:
    """Run an attack within the budget; the target with its traffic."""
    served = Served(protectee, defense)
    meter = MeteredTarget(served, thief.queries)
    ATTACKS[name].steal(meter, thief)
    asked = sum(len(batch) for batches in served.received.values() for batch in batches)
    assert asked == meter.spent == thief.queries
    return served


def l1(one: Answers, other: Answers) -> float:
    """Mean L1 distance of the rows."""
    return float(np.abs(one - other).sum(axis=1).mean())
