"""A general solver of the linear programs, row by row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

Vector = NDArray[np.float64]


def solve(objective: Vector, start: Vector, l1: float, label: int | None = None) -> float:
    """The optimum by HiGHS, in x = p + up - down; to about 1e-7, its tolerance."""
    classes = len(start)
    eye, ones = np.eye(classes), np.ones(classes)
    bounded = [np.concatenate([ones, ones])[None], np.hstack([-eye, eye])]
    limits = [[l1], start]
    if label is not None:
        leads = np.delete(eye, label, axis=0) - eye[label]
        bounded.append(np.hstack([leads, -leads]))
        limits.append(-leads @ start)
    optimum = linprog(
        np.concatenate([-objective, objective]),
        A_ub=np.vstack(bounded),
        b_ub=np.concatenate(limits),
        A_eq=np.concatenate([ones, -ones])[None],
        b_eq=[0.0],
    )
    return float(objective @ start - optimum.fun)


def starts_on_the_simplex(rng: np.random.Generator, classes: int) -> Vector:
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
