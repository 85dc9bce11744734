"""A linear objective over the simplex within an L1 ball, exactly and batched.

Shapes: B batch, C classes. Everything is float64, and a row's arithmetic touches no other
row. Mass that leaves one class enters another, so an L1 distance of `l1` is `l1 / 2` of mass
moved.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from queen.redteam.defenses.parts.simplex import FloatArray

_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
# The bracket shrinks by 0.618 a step: 70 steps leave 2e-15 of it.
_STEPS = 70


def maximize(objective: FloatArray, start: FloatArray, l1: float) -> FloatArray:
    """argmax of c x over the simplex with ||x - p||_1 <= l1, (B, C), (B, C) -> (B, C).

    `objective` c, `start` p on the simplex. Greedy: mass goes to the class of the largest
    c, from the class of the smallest c upward, until l1 / 2 has moved or all mass is there.
    """
    order = objective.argsort(axis=1, kind="stable")
    given = np.take_along_axis(start, order, axis=1)
    receiver = given[:, -1]
    moved = np.minimum(l1 / 2.0, 1.0 - receiver)
    given_up = _first_share(given, moved)
    given_up[:, -1] = -moved
    return _unsorted(given - given_up, order)


def maximize_keeping_label(
    objective: FloatArray, start: FloatArray, labels: NDArray[np.int64], l1: float
) -> FloatArray:
    """argmax of c x over the simplex with ||x - p||_1 <= l1 and x_y >= x_j for all j.

    `objective` c (B, C), `start` p (B, C) on the simplex, `labels` y (B,) an argmax of p
    -> (B, C). Once x_y = t is fixed the others are filled greedily below the cap t, and
    the value of that is concave in t: a golden section over the t that can be reached.
    """
    kept = labels[:, None]
    # The label's own column sorts last and is dropped: t stands for it.
    masked = objective.copy()
    np.put_along_axis(masked, kept, -np.inf, axis=1)
    order = (-masked).argsort(axis=1, kind="stable")
    others = np.take_along_axis(start, order, axis=1)[:, :-1]
    slopes = np.take_along_axis(objective, order, axis=1)[:, :-1]
    own, own_slope = (np.take_along_axis(rows, kept, axis=1) for rows in (start, objective))

    def value(level: FloatArray) -> FloatArray:
        filled = _fill(level, others, own, l1)
        total: FloatArray = own_slope * level + (slopes * filled).sum(axis=1, keepdims=True)
        return total

    level = _golden_section(value, _lowest_level(start, l1), np.minimum(1.0, own + l1 / 2.0))
    return _unsorted(np.concatenate([_fill(level, others, own, l1), level], axis=1), order)


def _fill(level: FloatArray, others: FloatArray, own: FloatArray, l1: float) -> FloatArray:
    """The best of the other classes once x_y = t, columns by falling objective, (B, C - 1).

    `level` t (B, 1), `others` p_j (B, C - 1), `own` p_y (B, 1).
    """
    # The mass above the cap must go, whatever the objective.
    capped = np.minimum(others, level)
    spent = np.abs(level - own) + (others - capped).sum(axis=1, keepdims=True)
    missing = 1.0 - level - capped.sum(axis=1, keepdims=True)
    # Where the distance is no limit the best classes stand at the cap and the rest at 0.
    rank = np.arange(others.shape[1])
    ideal = np.clip(1.0 - level - level * rank, 0.0, level)
    up, down = np.maximum(ideal - capped, 0.0), np.maximum(capped - ideal, 0.0)
    # raise - lower = missing, raise + lower = the rest of the distance
    left = l1 - spent
    raised = _first_share(up, (left + missing)[:, 0] / 2.0)
    lowered = _first_share(down[:, ::-1], (left - missing)[:, 0] / 2.0)[:, ::-1]
    filled: FloatArray = capped + raised - lowered
    return filled


def _lowest_level(start: FloatArray, l1: float) -> FloatArray:
    """The smallest t to which all classes can be capped by moving l1 / 2 of mass, (B, 1).

    sum_j max(p_j - t, 0) <= l1 / 2: the k largest bind for some k, and t >= 1 / C.
    """
    classes = start.shape[1]
    largest = -np.sort(-start, axis=1)
    levels = (largest.cumsum(axis=1) - l1 / 2.0) / np.arange(1, classes + 1)
    lowest: FloatArray = np.maximum(levels.max(axis=1, keepdims=True), 1.0 / classes)
    return lowest


def _golden_section(
    value: Callable[[FloatArray], FloatArray], low: FloatArray, high: FloatArray
) -> FloatArray:
    """The argument between `low` and `high` at which the concave `value` is largest, (B, 1)."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = value(left), value(right)
    for _ in range(_STEPS):
        rises = at_left < at_right
        low, high = np.where(rises, left, low), np.where(rises, high, right)
        kept, at_kept = np.where(rises, right, left), np.where(rises, at_right, at_left)
        new = np.where(rises, low + _GOLDEN * (high - low), high - _GOLDEN * (high - low))
        at_new = value(new)
        left, right = np.where(rises, kept, new), np.where(rises, new, kept)
        at_left, at_right = np.where(rises, at_kept, at_new), np.where(rises, at_new, at_kept)
    return (low + high) / 2.0


def _first_share(amounts: FloatArray, total: FloatArray) -> FloatArray:
    """The part of every column that `total` (B,) covers, the first columns first, (B, C)."""
    before = amounts.cumsum(axis=1) - amounts
    share: FloatArray = np.clip(total[:, None] - before, 0.0, amounts)
    return share


def _unsorted(rows: FloatArray, order: NDArray[np.intp]) -> FloatArray:
    """Rows (B, C) with their columns in the order before `order` sorted them."""
    back = np.empty_like(rows)
    np.put_along_axis(back, order, rows, axis=1)
    return back
