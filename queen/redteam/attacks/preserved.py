"""Preserved: learn the first answers, and those later answers that cannot be told from them.

Where a crossing changes some answers only, the others stay clean. The thief needs no idea of the
change: a classifier learns to tell later answers from first ones, and the thief keeps the later
answers that look as early as most first ones do.

Shapes: K first queries, N later ones, Q in all, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, ask_spread, halfway
from queen.redteam.attacks.parts.answered import is_answered
from queen.redteam.attacks.parts.prefix import prefix_length
from queen.redteam.attacks.parts.quick_copies import quick_copy
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.datasets import Images
from queen.redteam.targets.base import Answers, MeteredTarget

_KEPT = 0.8
"""Share of the first answers that look as early as an answer must that is kept."""
_FOLDS = 5
_TREES, _LEAVES, _BINS = 40, 8, 255
_LEAST = 1e-12


def steal(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Ask about the stream, and learn the answers that look like those before any crossing."""
    answers = ask_spread(target, thief.stream, thief.accounts)
    is_first = np.arange(len(answers)) < prefix_length(len(answers), target.num_classes)
    came = is_answered(answers)
    images, answers, is_first = thief.stream[came], answers[came], is_first[came]
    lateness = _lateness(thief, images, answers, is_first)
    kept = is_first | (lateness <= np.quantile(lateness[is_first], _KEPT))
    return thief.train(images[kept], halfway(answers[kept]))


def clues_of(answers: Answers, belief: Answers) -> NDArray[np.float32]:
    """Logarithms of `answers` (Q, C), falling, and of the `belief` (Q, C) in the same order."""
    order = np.argsort(-answers, axis=1, kind="stable")
    ordered = [np.take_along_axis(rows, order, axis=1) for rows in (answers, belief)]
    return np.log(np.maximum(np.concatenate(ordered, axis=1), _LEAST)).astype(np.float32)


def _lateness(
    thief: Thief, images: Images, answers: Answers, is_first: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The share (Q,) to which each answer looks like a later one, judged without that answer."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - slow to import
    from sklearn.model_selection import StratifiedKFold, cross_val_predict  # noqa: PLC0415

    clues = clues_of(answers, _belief_of_others(thief, images, answers, is_first))
    trees = HistGradientBoostingClassifier(
        max_iter=_TREES,
        max_leaf_nodes=_LEAVES,
        max_bins=_BINS,
        class_weight="balanced",
        early_stopping=False,
        random_state=thief.seed,
    )
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=thief.seed)
    shares = cross_val_predict(trees, clues, ~is_first, cv=folds, method="predict_proba")
    lateness: NDArray[np.float64] = shares[:, 1]
    return lateness


def _belief_of_others(
    thief: Thief, images: Images, answers: Answers, is_first: NDArray[np.bool_]
) -> Answers:
    """Beliefs (Q, C) of two copies of half of the first answers, neither about its own half.

    A copy is surer about the answers that it learned, and would tell first answers by that.
    """
    half = np.arange(len(images)) % 2 == 0
    belief = np.empty_like(answers)
    for own in (half, ~half):
        lesson = is_first & own
        copy = quick_copy(thief, images[lesson], answers[lesson])
        belief[~own] = posterior(copy, images[~own])
    return belief


ATTACK = Attack("preserved", "learn the later answers that look like the first ones", steal)
