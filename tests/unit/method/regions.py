"""Geometries, points and probabilities that the tests of the method draw from."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from numpy.typing import NDArray

from queen.method.geometry import Geometry

# The same examples on every machine, and no time limit for a busy one.
bounded = settings(derandomize=True, deadline=None, max_examples=60)


def discs(
    classes: int = 3,
    width: int = 2,
    *,
    coverage_fraction: float = 0.1,
    alpha: float = 1.0,
    radius: float = 1.0,
) -> Geometry:
    """Regions of one radius whose centers are ten radii apart."""
    centers = np.zeros((classes, width), np.float32)
    centers[:, 0] = 10 * radius * np.arange(classes)
    radii = np.full(classes, radius, np.float32)
    return Geometry(centers, radii, alpha, 1.0, coverage_fraction)


def inside_region(
    rng: np.random.Generator, geometry: Geometry, label: int, count: int
) -> NDArray[np.float32]:
    """Points (count, E) spread evenly over the sensitive region of `label`."""
    direction = rng.normal(size=(count, geometry.embedding_width))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    reach = rng.uniform(size=(count, 1)) ** (1 / geometry.embedding_width)
    # A hair inside, so that rounding to float32 does not put a point on the radius.
    offset = direction * reach * geometry.sensitive_radius[label] * 0.99999
    return (geometry.cluster_centers[label] + offset).astype(np.float32)


def awkward_simplex_rows(rng: np.random.Generator, classes: int) -> NDArray[np.float32]:
    """Rows on the simplex (R, C) float32: corners, ties, the middle, flat and peaked ones."""
    tied = rng.integers(0, 3, (4, classes)) + np.eye(1, classes, dtype=np.int64)
    pair = np.zeros((2, classes))
    pair[:, [0, -1]] = 0.5
    pair[1] = (pair[1] + 1e-9) / (1 + classes * 1e-9)
    rows = [
        np.eye(classes)[[0, classes // 2, classes - 1]],
        np.full((1, classes), 1 / classes),
        tied / tied.sum(axis=1, keepdims=True),
        pair,
        rng.dirichlet(np.ones(classes), 4),
        rng.dirichlet(np.full(classes, 0.05), 4),
        rng.dirichlet(np.full(classes, 100.0), 4),
    ]
    return np.concatenate(rows).astype(np.float32)
