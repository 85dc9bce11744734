"""How well a thief tells two kinds of queries apart by the times of their answers.

A thief times a query, or several askings of it, and compares that with a query of the other kind
which they know, asked in the same rounds. Shapes: R rounds, N times of a kind in a round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
Rounds = Sequence[tuple[Times, Times]]
"""The times of two kinds in each round, (N,) and (M,)."""
_DRAWS = 4000


def auc_one(rounds: Rounds) -> float:
    """The share of pairs that single askings order right, 0.5 to 1; ties count half."""
    return _either_way(float(np.mean([_ordered(slow, fast) for slow, fast in rounds])))


def auc_fastest(rounds: Rounds, askings: int, seed: int = 0) -> float:
    """The same by the fastest of some askings of each query, spread over the rounds."""
    return _auc_of(rounds, askings, lambda times: times.min(axis=1), seed)


def auc_percentile(rounds: Rounds, askings: int, percent: float, seed: int = 0) -> float:
    """The same by a percentile of some askings of each query, spread over the rounds."""
    return _auc_of(rounds, askings, lambda times: np.percentile(times, percent, axis=1), seed)


def _auc_of(rounds: Rounds, askings: int, summary: Callable[[Times], Times], seed: int) -> float:
    """Askings that are compared come from the same rounds: the machine may be slow in some."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(rounds), (_DRAWS, askings))
    slow, fast = (summary(_drawn([pair[at] for pair in rounds], chosen, rng)) for at in (0, 1))
    return _either_way(float((slow > fast).mean() + (slow == fast).mean() / 2))


def _drawn(rounds: Sequence[Times], chosen: NDArray[np.int64], rng: np.random.Generator) -> Times:
    """A random time of each of the chosen rounds, of the shape of `chosen`."""
    sizes = np.array([len(times) for times in rounds])
    starts = np.cumsum(sizes) - sizes
    places = starts[chosen] + (rng.random(chosen.shape) * sizes[chosen]).astype(np.int64)
    drawn: Times = np.concatenate(rounds)[places]
    return drawn


def _ordered(slow: Times, fast: Times) -> float:
    """The share of all pairs whose first time is the longer one; ties count half."""
    ordered = np.sort(fast)
    below = np.searchsorted(ordered, slow, "left")
    not_above = np.searchsorted(ordered, slow, "right")
    return float((below + not_above).mean() / 2 / len(fast))


def _either_way(share: float) -> float:
    """A thief who knows that a kind is the faster one turns the share round."""
    return max(share, 1.0 - share)
