"""Partial Bayes: read an answer as the mean of the clean answers that are defended alike.

Source: Tang et al., "ModelGuard: Information-Theoretic Defense Against Model Extraction
Attacks", USENIX Security 2024, adaptive attack with partial knowledge.

Shapes: N table entries, Q answers, C classes.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from queen.redteam.attacks.base import Attack, Simulation, Thief
from queen.redteam.attacks.parts.answered import answered, is_answered
from queen.redteam.attacks.parts.simulated import ask_and_simulate
from queen.redteam.targets.base import Answers, MeteredTarget

NEIGHBORS = 20


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Learn, for each answer, the mean clean answer of its neighbors in the simulation."""
    seen = ask_and_simulate(target, thief)
    return thief.train(thief.stream, restore_from_table(seen.simulation, seen.answers))


def restore_from_table(table: Simulation, answers: Answers, neighbors: int = NEIGHBORS) -> Answers:
    """Clean answers (Q, C) for `answers` (Q, C), each with the top-1 of the answer it restores.

    The mean clean answer of the `neighbors` entries whose defended answers are nearest in
    L1, among those whose clean top-1 is the answer's top-1. An answer whose top-1 no clean entry
    has is not changed. Refused queries restore nothing and are not restored.
    """
    restored = answers.copy()
    clean, defended = answered(table.clean, table.defended)
    labels, clean_labels = answers.argmax(axis=1), clean.argmax(axis=1)
    labels[~is_answered(answers)] = -1
    for label in np.intersect1d(labels, clean_labels):
        rows, entries = labels == label, clean_labels == label
        nearest = _nearest(defended[entries], answers[rows], neighbors)
        restored[rows] = clean[entries][nearest].mean(axis=1)
    return restored


def _nearest(entries: Answers, rows: Answers, neighbors: int) -> np.ndarray:
    """Indices (Q, k) of the entries (N, C) nearest to each row (Q, C) in L1."""
    from sklearn.neighbors import NearestNeighbors  # noqa: PLC0415 - slow to import

    count = min(neighbors, len(entries))
    index = NearestNeighbors(n_neighbors=count, metric="manhattan").fit(entries)
    nearest: np.ndarray = index.kneighbors(rows, return_distance=False)
    return nearest


ATTACK = Attack(
    "partial-bayes",
    "learn the mean of the clean answers that are defended like this one",
    steal,
    knows_recipe=True,
)
