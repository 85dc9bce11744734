"""Misdirection: the answers of `safe` and `balanced`, which teach a copy as little as they may.

Closed forms, row by row, in NumPy. Shapes: B queries, C classes.
"""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
from numpy.typing import NDArray

from queen.method.answers.rounding import round_answers
from queen.method.contracts import SAFE_L1, SAFE_MARGIN
from queen.method.geometry import FloatArray, LabelArray, SingleArray

# Rounding to float32 and the sums of an L1 distance must not break a contract.
_SLACK = 1e-4
# What all classes share evenly in a `safe` answer: callers compute logarithms.
_TAIL = 1e-4
_SHARES = 100
_HALVINGS = (64, 32, 16, 8, 4, 2, 1)


def keyed_name(secret: bytes, bundle_digest: str) -> str:
    """A name for `partner_classes` that cannot be computed without the secret."""
    return hmac.new(secret, b"partners " + bundle_digest.encode(), "sha256").hexdigest()


def partner_classes(name: str, classes: int) -> NDArray[np.int64]:
    """The class that shares the answer with each class, (C,): one cycle through all of them.

    `name` decides the cycle: the bundle's digest, or `keyed_name`. A profile that keeps the
    label has no secret to keep and uses the digest. One cycle, since in pairs two classes would
    have nearly the same answer, and a copy that cannot tell them apart is right for half of both.
    """
    digest = hashlib.sha256(b"partners " + name.encode()).digest()
    order = np.random.RandomState(np.frombuffer(digest, "<u4")).permutation(classes)
    partners = np.empty(classes, np.int64)
    partners[order] = np.roll(order, -1)
    return partners


def safe_answer(
    probabilities: NDArray[np.floating], labels: LabelArray, partners: NDArray[np.int64]
) -> SingleArray:
    """`safe`: the label and its partner share the answer, nearly evenly; (B, C) -> (B, C).

    The target is s_y = (1 + m) / 2 and s_j = (1 - m) / 2, with j the partner of y and m the margin,
    and a small share for every class. A copy of the answers is left to guess between the two
    classes. The answer is drawn back from the target toward the rounded p, in whole hundredths of
    the way, until ||s - p||_1 <= 1: no digit of it tells more of p than the rounded p does. Where
    that leads by less than the margin, the other classes give the label the mass that it lacks. So
    both ends of the segment keep the label by the margin, and with them all points between.
    """
    margin = SAFE_MARGIN + _SLACK
    start = lift_label(round_answers(probabilities).astype(np.float64), labels, margin)
    rows = np.arange(len(start))
    target = np.zeros_like(start)
    target[rows, labels] = (1.0 + margin) / 2.0
    target[rows, partners[labels]] = (1.0 - margin) / 2.0
    target = (1.0 - _TAIL) * target + _TAIL / target.shape[1]
    # The distance is convex in the share and small at its start: it crosses the bound once.
    hundredths = np.zeros(len(start))
    for more in _HALVINGS:
        tried = np.minimum(hundredths + more, _SHARES)
        moved = np.abs(_between(start, target, tried / _SHARES) - probabilities).sum(axis=1)
        hundredths = np.where(moved <= SAFE_L1 - _SLACK, tried, hundredths)
    return _between(start, target, hundredths / _SHARES).astype(np.float32)


def balanced_answer(
    probabilities: NDArray[np.floating], partners: NDArray[np.int64], l1: float
) -> SingleArray:
    """`balanced`: mass goes from the label to its partner until ||s - p||_1 = l1; (B, C) -> (B, C).

    The target is p with the numbers of the two classes exchanged. Any answer that leaves mass
    on the label shows it to a caller who knows the rule, so nothing is lost by a partner that
    depends on the label; and a copy that is trained on the answers as they are learns a wrong
    class in place of every class.
    """
    p = np.asarray(probabilities, np.float64)
    start = p / p.sum(axis=1, keepdims=True)
    rows, labels = np.arange(len(p)), p.argmax(axis=1)
    target = start.copy()
    target[rows, labels] = start[rows, partners[labels]]
    target[rows, partners[labels]] = start[rows, labels]
    room = (l1 - _SLACK) - np.abs(start - probabilities).sum(axis=1)
    # ||start + k (end - start) - p|| <= ||start - p|| + k ||end - start||
    length = np.abs(target - start).sum(axis=1)
    share = np.clip(room / np.maximum(length, 1e-12), 0.0, 1.0)
    return _between(start, target, share).astype(np.float32)


def lift_label(answers: FloatArray, labels: LabelArray, margin: float) -> FloatArray:
    """Move mass to the label from the classes that come too near, until it leads by `margin`.

    Rows (B, C) that lead already come back unchanged; the others get the cap v at which
    a_y = v + margin, a_j = min(s_j, v) sums to 1.
    """
    rows = np.arange(len(answers))
    others = answers.copy()
    others[rows, labels] = 0.0
    ordered = -np.sort(-others, axis=1)[:, :-1]
    # v if the k largest others are capped, for every k at once.
    capped = np.arange(1, ordered.shape[1] + 1)
    below = ordered.sum(axis=1, keepdims=True) - np.cumsum(ordered, axis=1)
    caps = (1.0 - margin - below) / (capped + 1.0)
    reaches = np.concatenate([ordered[:, 1:], np.zeros((len(answers), 1))], axis=1) <= caps
    cap = caps[rows, reaches.argmax(axis=1)]
    lifted = np.minimum(others, cap[:, None])
    lifted[rows, labels] = cap + margin
    leads = answers[rows, labels] - ordered[:, 0] >= margin
    return np.where(leads[:, None], answers, lifted)


def _between(start: FloatArray, target: FloatArray, share: FloatArray) -> FloatArray:
    """Points (B, C) at a share (B,) of the way from `start` to `target` (B, C)."""
    point: FloatArray = start + share[:, None] * (target - start)
    return point
