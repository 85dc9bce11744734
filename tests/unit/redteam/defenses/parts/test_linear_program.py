"""The linear programs of the baselines against a general solver, row by row."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog

from queen.redteam.defenses.modelguard_w import least_likely_answer
from queen.redteam.defenses.parts.linear_program import maximize, maximize_keeping_label

Vector = NDArray[np.float64]
sizes = pytest.mark.parametrize("classes", [2, 3, 10, 100])
budgets = pytest.mark.parametrize("l1", [0.1, 1.0, 1.7])


def _solve(objective: Vector, start: Vector, l1: float, label: int | None = None) -> float:
    """The optimum by HiGHS, in x = p + up - down; to about 1e-7, its tolerance."""
    classes = len(start)
    eye, ones = np.eye(classes), np.ones(classes)
    bounded = [np.concatenate([ones, ones])[None], np.hstack([-eye, eye])]
    limits = [[l1], start]
    if label is not None:
        leads = np.delete(eye, label, axis=0) - eye[label]
        bounded.append(np.hstack([leads, -leads]))
        limits.append(-leads @ start)
    found = linprog(
        np.concatenate([-objective, objective]),
        A_ub=np.vstack(bounded),
        b_ub=np.concatenate(limits),
        A_eq=np.concatenate([ones, -ones])[None],
        b_eq=[0.0],
    )
    return float(objective @ start - found.fun)


def _starts(rng: np.random.Generator, classes: int) -> Vector:
    """Peaked, middling and flat rows, a corner, ties of two and of all."""
    count = 6 if classes > 10 else 12
    ties = np.zeros((1, classes))
    ties[0, [0, classes - 1]] = 0.5
    return np.concatenate(
        [
            *(rng.dirichlet(np.full(classes, alpha), count) for alpha in (0.05, 0.5, 5.0)),
            np.eye(classes)[:1],
            np.full((1, classes), 1 / classes),
            ties,
        ]
    )


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
    starts = _starts(rng, classes)
    objectives = _objectives(rng, starts)
    points = maximize(objectives, starts, l1)
    _check_feasible(points, starts, l1)
    for objective, start, point in zip(objectives, starts, points, strict=True):
        assert objective @ point == pytest.approx(_solve(objective, start, l1), abs=3e-6)


@sizes
@budgets
def test_the_answer_that_keeps_the_label_is_the_optimum(classes: int, l1: float):
    """The same with the label among the largest, ties included."""
    rng = np.random.default_rng(classes + 1)
    starts = _starts(rng, classes)
    objectives, labels = _objectives(rng, starts), starts.argmax(axis=1)
    points = maximize_keeping_label(objectives, starts, labels, l1)
    _check_feasible(points, starts, l1)
    own = np.take_along_axis(points, labels[:, None], axis=1)
    assert (own >= points - 1e-12).all()
    for objective, start, label, point in zip(objectives, starts, labels, points, strict=True):
        best = _solve(objective, start, l1, int(label))
        assert objective @ point == pytest.approx(best, abs=3e-6)


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_modelguard_w_is_the_published_program(classes: int):
    """sum_j log(y_j) y'_j is as small as it can be, but for the label's lead of 1e-5."""
    rng = np.random.default_rng(classes)
    starts = _starts(rng, classes)
    answers = least_likely_answer(starts.astype(np.float32)).astype(np.float64)
    labels = starts.argmax(axis=1)
    for start, label, answer in zip(starts, labels, answers, strict=True):
        objective = -np.log(np.maximum(start, 1e-12))
        best = _solve(objective, start, 1.0, int(label))
        # Three leads of mass, each worth at most the range of the objective.
        assert best - 3e-5 * np.ptp(objective) - 1e-5 <= objective @ answer <= best + 1e-5


def test_modelguard_w_gives_half_to_the_least_likely():
    """A sure answer gives 0.5 of its mass away: up to a tie to the least likely class first."""
    y = np.array([[0.97, 0.02, 0.01]], np.float32)
    np.testing.assert_allclose(least_likely_answer(y), [[0.47, 0.06, 0.47]], atol=1e-4)


def test_a_row_of_a_program_has_the_same_bits_alone():
    """No arithmetic of a row touches another."""
    rng = np.random.default_rng(0)
    starts = _starts(rng, 10)
    objectives, labels = _objectives(rng, starts), starts.argmax(axis=1)
    whole = maximize_keeping_label(objectives, starts, labels, 1.0)
    for row in range(len(starts)):
        one = slice(row, row + 1)
        alone = maximize_keeping_label(objectives[one], starts[one], labels[one], 1.0)
        np.testing.assert_array_equal(alone[0], whole[row])
