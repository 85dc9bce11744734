"""D-DAE: learn the inverse of the defense from (clean, defended) pairs, and undo it.

Source: Chen et al., "D-DAE: Defense-Penetrating Model Extraction Attacks", IEEE S&P 2023.

Shapes: N pairs, Q answers, C classes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from queen.redteam.attacks.base import Attack, Simulation, Thief
from queen.redteam.attacks.parts.answered import answered
from queen.redteam.attacks.parts.simulated import ask_and_simulate
from queen.redteam.targets.base import Answers, MeteredTarget

EPOCHS = 200
CONCENTRATION = 50.0
"""Concentration of the Dirichlet around a clean answer p: an entry has variance p (1 - p) / 51."""
_BATCH = 256
_FLOOR = 1e-2
"""Added to every weight of the Dirichlet, whose weights must be above zero."""


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Learn the answers after an inverse, fitted to the simulation's pairs, has restored them."""
    seen = ask_and_simulate(target, thief)
    restorer = train_restorer(seen.simulation.clean, seen.simulation.defended, seed=thief.seed)
    return thief.train(thief.stream, restore(restorer, seen.answers))


def steal_plus(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Do the same with twice the pairs: half of them are drawn around the clean answers."""
    seen = ask_and_simulate(target, thief)
    clean, defended = dirichlet_pairs(seen.simulation, thief.rng)
    restorer = train_restorer(
        np.concatenate([seen.simulation.clean, clean]),
        np.concatenate([seen.simulation.defended, defended]),
        seed=thief.seed,
    )
    return thief.train(thief.stream, restore(restorer, seen.answers))


def dirichlet_pairs(simulation: Simulation, rng: np.random.Generator) -> tuple[Answers, Answers]:
    """N more pairs (clean (N, C), defended (N, C)): one Dirichlet draw around each clean answer.

    The defense is known by examples only, so a draw is paired with the defended answer of
    the clean answer nearest to it in L1.
    """
    from sklearn.neighbors import NearestNeighbors  # noqa: PLC0415 - slow to import

    weights = CONCENTRATION * simulation.clean + _FLOOR
    gammas = rng.standard_gamma(weights) + 1e-12
    drawn = (gammas / gammas.sum(axis=1, keepdims=True)).astype(np.float32)
    neighbors = NearestNeighbors(n_neighbors=1, metric="manhattan").fit(simulation.clean)
    nearest = neighbors.kneighbors(drawn, return_distance=False)[:, 0]
    return drawn, simulation.defended[nearest]


def train_restorer(
    clean: Answers, defended: Answers, *, seed: int, epochs: int = EPOCHS
) -> nn.Module:
    """The inverse of a defense, (N, C) -> (N, C): an MLP C -> 128 -> 64 -> C with softmax.

    Minimizes the L1 distance of restored `defended` (N, C) to `clean` (N, C). Pairs whose defended
    query was refused are left out.
    """
    clean, defended = answered(clean, defended)
    generator = torch.Generator().manual_seed(seed)
    restorer = _restorer(clean.shape[1], seed)
    wanted, given = torch.from_numpy(clean), torch.from_numpy(defended)
    optimizer = torch.optim.Adam(restorer.parameters(), lr=1e-3, fused=True)
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(len(given), generator=generator), _BATCH):
            optimizer.zero_grad()
            distances = (restorer(given[rows]) - wanted[rows]).abs().sum(dim=1)
            distances.mean().backward()
            optimizer.step()
    return restorer


def restore(restorer: nn.Module, answers: Answers) -> Answers:
    """The restorer's guess of the clean answers (Q, C) behind `answers` (Q, C)."""
    with torch.inference_mode():
        restored: Answers = restorer(torch.from_numpy(answers)).numpy()
    return restored


def _restorer(classes: int, seed: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            *(nn.Linear(classes, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU()),
            *(nn.Linear(64, classes), nn.Softmax(dim=1)),
        )


ATTACKS = (
    Attack("d-dae", "undo the defense by its learned inverse", steal, knows_recipe=True),
    Attack(
        "d-dae-plus",
        "undo the defense by an inverse learned around the clean answers",
        steal_plus,
        knows_recipe=True,
    ),
)
