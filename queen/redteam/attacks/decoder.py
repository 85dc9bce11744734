"""Decoder: learn to read defended answers, by a rehearsal or by the belief of a copy.

Neither thief has to think of a rule. A rehearsal defends a model of the thief's own by the public
recipe: there the true labels are known, and a classifier learns them from the numbers of an answer
and the belief of a copy. Without the recipe, the belief of a copy of the first answers is right
often enough to teach a classifier how the served answers are read, under the secret in use.

Shapes: Q queries, K of the prefix, N later ones, C classes, F clues of an answer.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from queen.redteam.attacks.base import Attack, Thief, corners
from queen.redteam.attacks.parts.answered import is_answered
from queen.redteam.attacks.parts.prefix import ask_prefix, ask_rest, prefix_length
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.attacks.parts.simulated import SimulatedStream, ask_and_simulate
from queen.redteam.datasets import Labels
from queen.redteam.leak.decoders import DECODERS, Clues, Known, clues_of
from queen.redteam.targets.base import Answers, MeteredTarget

_MOST = 10_000
"""Answers that a decoder learns at most: more take long and tell little."""
_VALIDATION_SHARE = 5
_TREES, _LEAVES = 40, 15
_FOLDS = 2
_LEAST = 1e-6


def steal_rehearsed(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Learn the labels that the best decoder of a rehearsal reads from the served answers."""
    seen = ask_and_simulate(target, thief)
    came = is_answered(seen.answers)
    images, answers = thief.stream[came], seen.answers[came]
    labels = rehearsed_labels(thief, seen, clues_of(answers, posterior(seen.twin, images)))
    return thief.train(images, corners(labels, target.num_classes))


def rehearsed_labels(thief: Thief, seen: SimulatedStream, clues: Clues) -> Labels:
    """Labels (Q,) that are read from `clues` (Q, F) of served answers and the twin's belief.

    In the rehearsal the twin plays the protectee, and a copy of its first answers the twin.
    """
    defended, truth = seen.simulation.defended, seen.simulation.clean.argmax(axis=1)
    first = prefix_length(len(defended), defended.shape[1])
    copy = thief.train(thief.stream[:first], defended[:first])
    rows = thief.rng.permutation(np.flatnonzero(is_answered(defended)))[:_MOST]
    held, kept = np.split(rows, [len(rows) // _VALIDATION_SHARE])
    views = clues_of(defended, posterior(copy, thief.stream))
    known = Known(views[kept], truth[kept], views[held], truth[held], defended.shape[1], thief.seed)
    decode = max((fit(known) for fit in DECODERS.values()), key=known.score)
    return decode(clues)


def steal_believing(target: MeteredTarget, thief: Thief) -> nn.Module:
    """Learn later answers as a decoder reads them that learned the belief of an early copy."""
    prefix = ask_prefix(target, thief)
    images, answers = ask_rest(target, thief, prefix)
    if len(images) < _FOLDS * target.num_classes:
        return prefix.copy
    belief = posterior(prefix.copy, images)
    targets = weighed(decoded_belief(clues_of(answers), belief, thief.seed), belief)
    return thief.train(*prefix.followed_by(images, targets))


def decoded_belief(clues: Clues, belief: Answers, seed: int) -> Answers:
    """P(class | clues) (N, C) by `clues` (N, F), learned from the labels of a `belief` (N, C).

    The errors of the belief follow from the image and hardly from the answer, so that a decoder of
    answers does not learn them; each row is read by a decoder that did not see it.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - slow to import

    believed = belief.argmax(axis=1)
    decoded = np.zeros_like(belief)
    folds = np.random.default_rng([seed, 3]).permutation(len(belief)) % _FOLDS
    for fold in range(_FOLDS):
        rows = np.flatnonzero(folds != fold)[:_MOST]
        trees = HistGradientBoostingClassifier(
            max_iter=_TREES, max_leaf_nodes=_LEAVES, early_stopping=False, random_state=seed
        )
        trees.fit(clues[rows], believed[rows])
        own = np.flatnonzero(folds == fold)
        decoded[np.ix_(own, trees.classes_)] = trees.predict_proba(clues[own])
    return decoded


def weighed(decoded: Answers, belief: Answers) -> Answers:
    """Both together: P(class | answer) P(class | image) / P(class), each (N, C), rows sum to 1."""
    usual = belief.mean(axis=0) + _LEAST
    joint = (decoded + _LEAST) * (belief + _LEAST) / usual
    targets: Answers = (joint / joint.sum(axis=1, keepdims=True)).astype(np.float32)
    return targets


ATTACKS = (
    Attack(
        "decoder-rehearsed",
        "read answers by a classifier that a rehearsal of the recipe taught",
        steal_rehearsed,
        knows_recipe=True,
    ),
    Attack(
        "decoder-believing",
        "read answers by a classifier that the belief of an early copy taught",
        steal_believing,
    ),
)
