"""The linear programs of the baselines against a general solver, row by row."""

from __future__ import annotations

import numpy as np
import pytest

from queen.redteam.defenses.parts.linear_program import maximize, maximize_keeping_label
from tests.unit.redteam.defenses.parts.solver import Vector, solve, starts_on_the_simplex

sizes = pytest.mark.parametrize("classes", [2, 3, 10, 100])
budgets = pytest.mark.parametrize("l1", [0.1, 1.0, 1.7])


def _objectives(rng: np.random.Generator, starts: Vector) -> Vector:
    """At random, with ties, with no preference, and the one of ModelGuard-W."""
    objectives = rng.normal(size=starts.shape)
    objectives[1::4] = rng.integers(-1, 2, starts[1::4].shape)
    objectives[2::4] = -np.log(np.maximum(starts[2::4], 1e-12))
    objectives[3] = 0.5
    return objectives


def _check_feasible(points: Vector, starts: Vector, l1: float) -> None:
    assert points.min() >= -1e-12
    np.testing.assert_allclose(points.sum(axis=1), 1.0, atol=1e-12)
    assert np.abs(points - starts).sum(axis=1).max() <= l1 + 1e-12


@sizes
@budgets
def test_the_greedy_answer_is_the_optimum(classes: int, l1: float):
    """No point of the simplex within the L1 ball has a larger objective."""
    rng = np.random.default_rng(classes)
    starts = starts_on_the_simplex(rng, classes)
    objectives = _objectives(rng, starts)
    points = maximize(objectives, starts, l1)
    _check_feasible(points, starts, l1)
    for objective, start, point in zip(objectives, starts, points, strict=True):
        assert objective @ point == pytest.approx(solve(objective, start, l1), abs=3e-6)


@sizes
@budgets
def test_the_answer_that_keeps_the_label_is_the_optimum(classes: int, l1: float):
    """The same with the label among the largest, ties included."""
    rng = np.random.default_rng(classes + 1)
    starts = starts_on_the_simplex(rng, classes)
    objectives, labels = _objectives(rng, starts), starts.argmax(axis=1)
    points = maximize_keeping_label(objectives, starts, labels, l1)
    _check_feasible(points, starts, l1)
    own = np.take_along_axis(points, labels[:, None], axis=1)
    assert (own >= points - 1e-12).all()
    for objective, start, label, point in zip(objectives, starts, labels, points, strict=True):
        best = solve(objective, start, l1, int(label))
        assert objective @ point == pytest.approx(best, abs=3e-6)


def test_a_row_of_a_program_has_the_same_bits_alone():
    """No arithmetic of a row touches another."""
    rng = np.random.default_rng(0)
    starts = starts_on_the_simplex(rng, 10)
    objectives, labels = _objectives(rng, starts), starts.argmax(axis=1)
    whole = maximize_keeping_label(objectives, starts, labels, 1.0)
    for row in range(len(starts)):
        one = slice(row, row + 1)
        alone = maximize_keeping_label(objectives[one], starts[one], labels[one], 1.0)
        np.testing.assert_array_equal(alone[0], whole[row])
