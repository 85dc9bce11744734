"""The copies that the thieves of the demo train, and their accuracies.

Shapes: Q queries, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from queen.demo.accounts import Sent
from queen.demo.scenario import Demo, Thief
from queen.redteam.learner import train_piracy_model
from queen.redteam.networks import accuracy
from queen.redteam.targets.base import Answers


@dataclass(frozen=True)
class Copies:
    """Accuracies of a thief's copies on the test set, 0 to 1.

    `undefended` learned the protectee's own answers, `defended` those that the thief got, and
    `floor` those of them that came before the first reversal or refusal.
    """

    undefended: float
    defended: float
    floor: float


def count_copies(demo: Demo) -> int:
    """Copies that `train_copies` trains."""
    return 3 * demo.scenario.piracy_seeds * len(demo.thieves)


def train_copies(demo: Demo, sent: Sent, on_copy: Callable[[], None]) -> Mapping[str, Copies]:
    """Train the copies of each thief, by name, calling `on_copy` after each."""
    copies = {}
    for thief in demo.thieves:
        traffic = sent.defended[thief.name]
        clean = traffic.answers[: traffic.clean_prefix]
        copies[thief.name] = Copies(
            *(
                _mean_accuracy(demo, thief, answers, on_copy)
                for answers in (sent.own[thief.name], traffic.answers, clean)
            )
        )
    return copies


def _mean_accuracy(
    demo: Demo, thief: Thief, answers: Answers, on_copy: Callable[[], None]
) -> float:
    """Mean accuracy over seeds of copies of answers (K, C) to the first K queries."""
    is_answered = np.isfinite(answers).all(axis=1)
    queries, answers = thief.queries[: len(answers)][is_answered], answers[is_answered]
    accuracies = []
    for seed in range(demo.seed, demo.seed + demo.scenario.piracy_seeds):
        model = train_piracy_model(demo.scenario.dataset, queries, answers, seed=seed)
        accuracies.append(accuracy(model, demo.split.test_x, demo.split.test_y))
        on_copy()
    return float(np.mean(accuracies))
