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
from queen.redteam.attacks.parts.prefix import Prefix, ask_prefix, ask_rest, prefix_length
from queen.redteam.attacks.parts.quick_copies import quick_copy
from queen.redteam.attacks.parts.readout import posterior
from queen.redteam.attacks.parts.simulated import SimulatedStream, ask_and_simulate
from queen.redteam.datasets import Labels
from queen.redteam.leak.decoders import DECODERS, Clues, Known, clues_of
from queen.redteam.networks import predict
from queen.redteam.targets.base import Answers, MeteredTarget

_MOST = 10_000
"""Answers that a decoder learns at most: more take long and tell little."""
_VALIDATION_SHARE = 5
_TREES, _LEAVES = 40, 8
_FOLDS = 2
_LEAST = 1e-30
_NEARLY = 0.95
"""Least agreement with a copy at which a reading is believed, as a share of the usual one."""


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
    """Learn later answers as a reader reads them that agrees best with an early copy.

    Readers take the answers at their word, or learn the copy's labels from their numbers. Where no
    reader agrees nearly as well as the first answers do, the early copy is returned.
    """
    prefix = ask_prefix(target, thief)
    images, answers = ask_rest(target, thief, prefix)
    if len(images) < _FOLDS * target.num_classes:
        return prefix.copy
    believed = predict(prefix.copy, images)
    readings = [read(answers, believed, thief.seed) for read in READERS]
    agreements = [float((labels == believed).mean()) for labels in readings]
    if max(agreements) < _NEARLY * reliability(thief, prefix):
        return prefix.copy
    labels = readings[int(np.argmax(agreements))]
    return thief.train(*prefix.followed_by(images, corners(labels, target.num_classes)))


def reliability(thief: Thief, prefix: Prefix) -> float:
    """The share of first answers that a copy of every second one predicts, of the others."""
    copy = quick_copy(thief, prefix.queries[::2], prefix.answers[::2])
    others = prefix.answers[1::2].argmax(axis=1)
    return float((predict(copy, prefix.queries[1::2]) == others).mean())


def as_answered(answers: Answers, _believed: Labels, _seed: int) -> Labels:
    """The largest number of each answer (N, C), (N,)."""
    labels: Labels = answers.argmax(axis=1)
    return labels


def by_ranks(answers: Answers, believed: Labels, seed: int) -> Labels:
    """The number of each answer (N, C) with the rank that the other numbers tell, (N,).

    Such a reading knows no class by name: it is that of a rule such as the argmin rule.
    """
    order = np.argsort(-answers, axis=1, kind="stable")
    ordered = np.log(np.maximum(np.take_along_axis(answers, order, axis=1), _LEAST))
    clues = np.concatenate([ordered, ordered[:, :-1] - ordered[:, 1:]], axis=1)
    rows = np.arange(len(answers))
    ranks = np.argsort(order, axis=1)[rows, believed]
    labels: Labels = order[rows, read_unseen(clues, ranks, seed)]
    return labels


def by_classes(answers: Answers, believed: Labels, seed: int) -> Labels:
    """The class that all numbers of each answer (N, C) tell, (N,), by name if need be."""
    return read_unseen(clues_of(answers), believed, seed)


READERS = (as_answered, by_ranks, by_classes)


def read_unseen(clues: Clues, known: Labels, seed: int) -> Labels:
    """Labels (N,) by `clues` (N, F), each from trees that learned the `known` (N,) of others.

    The errors of a belief follow from the image and hardly from the answer, so that trees which
    see the answer alone do not learn them.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - slow to import

    labels = np.empty_like(known)
    folds = np.random.default_rng([seed, 3]).permutation(len(known)) % _FOLDS
    for fold in range(_FOLDS):
        rows, own = np.flatnonzero(folds != fold)[:_MOST], folds == fold
        trees = HistGradientBoostingClassifier(
            max_iter=_TREES, max_leaf_nodes=_LEAVES, early_stopping=False, random_state=seed
        )
        labels[own] = trees.fit(clues[rows], known[rows]).predict(clues[own])
    return labels


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
