"""A hash of the cells of a grid.

The hash of a cell is the sum of its coordinates, each times a factor of its axis, modulo 2^64.
It is linear: the hash of a neighbor is that of the cell plus a constant. The factors are odd
and random, so that a caller cannot choose points whose cells collide.

Shapes: E axes, B cells.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from queen.method.geometry import FloatArray

Hashes = NDArray[np.uint64]

_UPPER_HALF = np.uint64(32)


def draw_factors(axes: int, rng: np.random.Generator) -> Hashes:
    """A factor for each axis, (E,)."""
    factors: Hashes = 2 * rng.integers(0, 2**63, axes, np.uint64) + np.uint64(1)
    return factors


def corner_offsets(factors: Hashes) -> Hashes:
    """Hashes of a cell and its upper neighbors on any axes, less the hash of the cell, (2^E,)."""
    corners = np.array(list(product((0, 1), repeat=len(factors))), np.uint64)
    offsets: Hashes = (corners * factors).sum(axis=1)
    return offsets


def hash_cells(cells: FloatArray, factors: Hashes) -> Hashes:
    """Hashes (B,) of cells (B, E), whole numbers."""
    hashes: Hashes = cells.astype(np.int64).view(np.uint64) @ factors
    return hashes


def bucket_of(hashes: Hashes, mask: NDArray[np.int64]) -> NDArray[np.int64]:
    """A bucket for each hash, in 0..mask, where mask + 1 is a power of two up to 2^32.

    The upper half of a product depends on all of the cell.
    """
    return (hashes >> _UPPER_HALF).view(np.int64) & mask
