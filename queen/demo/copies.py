"""The copies that the thief of the demo trains, and their accuracies.

Shapes: Q queries, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from queen.demo.accounts import Sent
from queen.demo.report import Curve
from queen.demo.scenario import Demo
from queen.redteam.attacks.base import one_hot
from queen.redteam.learner import train_piracy_model
from queen.redteam.networks import accuracy


@dataclass(frozen=True)
class CopyAccuracies:
    """Accuracies of copies on the test set, 0 to 1.

    `label_only` learned the labels of undefended answers, `clean_prefix` the defended
    answers before the first reversal, `curve` the first queries of both.
    """

    undefended: float
    defended: float
    label_only: float
    clean_prefix: float
    curve: Curve


def count_copies(demo: Demo) -> int:
    """Copies that `train_copies` trains."""
    return demo.scenario.piracy_seeds * (4 + 2 * len(_milestones(demo)))


def train_copies(demo: Demo, sent: Sent, on_copy: Callable[[], None]) -> CopyAccuracies:
    """Train the thief's copies, calling `on_copy` after each."""
    undefended, defended = sent.undefended.answers, sent.thief.answers

    def copy(answers: NDArray[np.float32], count: int) -> float:
        return _mean_accuracy(demo, answers[:count], on_copy)

    count, milestones = len(demo.queries), _milestones(demo)
    all_undefended, all_defended = copy(undefended, count), copy(defended, count)
    return CopyAccuracies(
        undefended=all_undefended,
        defended=all_defended,
        label_only=copy(one_hot(undefended), count),
        clean_prefix=copy(defended, sent.thief.clean_prefix),
        curve=Curve(
            queries=[*milestones, count],
            undefended=[*(copy(undefended, first) for first in milestones), all_undefended],
            defended=[*(copy(defended, first) for first in milestones), all_defended],
        ),
    )


def _milestones(demo: Demo) -> list[int]:
    return [first for first in demo.scenario.milestones if first < len(demo.queries)]


def _mean_accuracy(demo: Demo, answers: NDArray[np.float32], on_copy: Callable[[], None]) -> float:
    """Mean accuracy over seeds of copies of answers (K, C) to the first K queries."""
    accuracies = []
    for seed in range(demo.seed, demo.seed + demo.scenario.piracy_seeds):
        queries = demo.queries[: len(answers)]
        model = train_piracy_model(demo.scenario.dataset, queries, answers, seed=seed)
        accuracies.append(accuracy(model, demo.split.test_x, demo.split.test_y))
        on_copy()
    return float(np.mean(accuracies))
