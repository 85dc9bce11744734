"""D-DAE: learn the inverse of the defence from (clean, defended) pairs, and undo it.

Source: Chen et al., "D-DAE: Defense-Penetrating Model Extraction Attacks", IEEE S&P 2023.

Shapes: N pairs, Q answers, C classes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from queen.redteam.attacks.base import Attack, Means, Rehearsal
from queen.redteam.attacks.parts.rehearsed import ask_and_rehearse
from queen.redteam.targets.base import Answers, MeteredTarget

EPOCHS = 200
CONCENTRATION = 50.0
"""Of the Dirichlet around a clean answer p: an entry has the variance p (1 - p) / 51."""
_BATCH = 256
_FLOOR = 1e-2
"""Mass that a class without any gets in the Dirichlet, which asks for more than zero."""


def steal(target: MeteredTarget, means: Means) -> nn.Module:
    """Restore by an inverse that is fitted to the rehearsal's own pairs."""
    seen = ask_and_rehearse(target, means)
    restorer = train_restorer(seen.rehearsal.clean, seen.rehearsal.defended, seed=means.seed)
    return means.train(means.stream, restore(restorer, seen.answers))


def steal_plus(target: MeteredTarget, means: Means) -> nn.Module:
    """Restore by an inverse that is fitted to as many pairs again, drawn around the clean ones."""
    seen = ask_and_rehearse(target, means)
    clean, defended = dirichlet_pairs(seen.rehearsal, means.rng)
    restorer = train_restorer(
        np.concatenate([seen.rehearsal.clean, clean]),
        np.concatenate([seen.rehearsal.defended, defended]),
        seed=means.seed,
    )
    return means.train(means.stream, restore(restorer, seen.answers))


def dirichlet_pairs(rehearsal: Rehearsal, rng: np.random.Generator) -> tuple[Answers, Answers]:
    """N more pairs (clean (N, C), defended (N, C)): one Dirichlet draw around each clean answer.

    The defence is known by examples only, so a draw is paired with the defended answer of
    the clean answer nearest to it in L1.
    """
    # Deferred: only the red team needs scikit-learn.
    from sklearn.neighbors import NearestNeighbors  # noqa: PLC0415

    weights = CONCENTRATION * rehearsal.clean + _FLOOR
    gammas = rng.standard_gamma(weights) + 1e-12
    drawn = (gammas / gammas.sum(axis=1, keepdims=True)).astype(np.float32)
    neighbors = NearestNeighbors(n_neighbors=1, metric="manhattan").fit(rehearsal.clean)
    nearest = neighbors.kneighbors(drawn, return_distance=False)[:, 0]
    return drawn, rehearsal.defended[nearest]


def train_restorer(
    clean: Answers, defended: Answers, *, seed: int, epochs: int = EPOCHS
) -> nn.Module:
    """The inverse of a defence, (N, C) -> (N, C): an MLP C -> 128 -> 64 -> C with softmax.

    Minimises the L1 distance of restored `defended` (N, C) to `clean` (N, C).
    """
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
    """What the restorer takes for the clean answers (Q, C) behind `answers` (Q, C)."""
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
    Attack("d-dae", "undo the defence by its learned inverse", steal, needs_rehearsal=True),
    Attack(
        "d-dae-plus",
        "undo the defence by an inverse learned around the clean answers",
        steal_plus,
        needs_rehearsal=True,
    ),
)
