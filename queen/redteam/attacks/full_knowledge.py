"""Full knowledge: predict the verdicts by the recipe, which the thief knows without its secret.

Shapes: Q queries, C classes.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, one_hot
from queen.redteam.attacks.parts.answered import is_answered
from queen.redteam.attacks.parts.simulated import ask_and_simulate
from queen.redteam.targets.base import Answers, MeteredTarget

EXPLAINED = 0.5
"""Largest L1 distance at which an inverted answer, reversed again, counts as the same answer."""


def steal_discarding(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Learn only the answers that are not reversed in the simulation.

    If all of them are, the copy is the twin.
    """
    seen = ask_and_simulate(target, thief)
    kept = ~seen.simulation.is_flagged & is_answered(seen.answers)
    return thief.train(thief.stream[kept], seen.answers[kept]) if kept.any() else seen.twin


def steal_inverting(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Learn the inverted answer where the simulation has a reversal, and the rest as it is."""
    seen = ask_and_simulate(target, thief)
    flagged, restored = seen.simulation.is_flagged, seen.answers.copy()
    restored[flagged] = invert_reversal(seen.answers[flagged], seen.simulation.clean[flagged])
    return thief.train(thief.stream, restored)


def invert_reversal(answers: Answers, twin: Answers) -> Answers:
    """The p (Q, C) behind gradient reversals `answers` s (Q, C), given the `twin`'s q (Q, C).

    A reversal is s ~ relu(2q - p); the twin stands in for the mean shadow q, so that
    p ~ relu(2q - s), renormalized. Where that p, reversed again, is not the answer, the
    answer is no reversal of this kind, and the thief learns the twin's label instead.
    """
    inverted = _reverse(twin, answers)
    distances = np.abs(_reverse(twin, inverted) - answers).sum(axis=1, keepdims=True)
    chosen: Answers = np.where(distances <= EXPLAINED, inverted, one_hot(twin))
    return chosen


def _reverse(shadow_means: Answers, rows: Answers) -> Answers:
    """relu(2q - p) / sum relu(2q - p) for q `shadow_means` and p `rows`, both (Q, C)."""
    # 2q - p sums to 1, so that some entry is above zero; rounded answers may miss that by little.
    positive = np.maximum(2 * shadow_means - rows, 0) + np.float32(1e-12)
    reversed_rows: Answers = positive / positive.sum(axis=1, keepdims=True)
    return reversed_rows


ATTACKS = (
    Attack(
        "full-knowledge-discard",
        "drop the answers that the recipe is expected to reverse",
        steal_discarding,
        knows_recipe=True,
    ),
    Attack(
        "full-knowledge-invert",
        "invert the answers that the recipe is expected to reverse",
        steal_inverting,
        knows_recipe=True,
    ),
)
