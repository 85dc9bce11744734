"""The leak and its bound."""

from __future__ import annotations

import numpy as np
import pytest

from queen.errors import ConfigError
from queen.redteam.leak.bound import bound_leak

SECRETS, ROWS = 8, 1000


def readings(shares: np.ndarray, seed: int) -> np.ndarray:
    """Rows read right (S, M): a share of them for each secret, drawn by a seed."""
    drawn = np.random.default_rng(seed).random((len(shares), ROWS))
    return drawn < shares[:, None]


def test_the_leak_is_the_mean_difference() -> None:
    """By hand: two secrets and four rows, Student's quantile of one degree of freedom."""
    defended = np.array([[1, 1, 1, 1], [1, 1, 0, 1]], bool)
    decoys = np.array([[1, 0, 1, 0], [0, 1, 0, 0]], bool)
    leak = bound_leak(defended, decoys)
    assert (leak.read, leak.from_decoys, leak.leak) == (7 / 8, 3 / 8, 1 / 2)
    # d = (1/2, 1/2) over the secrets, e = (1/2, 1/2, 0, 1) over the rows.
    assert leak.bound == pytest.approx(0.5 + 12.7062 * np.sqrt((1 / 6) / 4), rel=1e-4)


def test_a_secret_that_is_easy_to_read_is_no_leak() -> None:
    """Deployment and decoy share the luck of a secret: it cancels, also in the bound."""
    shares = np.linspace(0.5, 0.8, SECRETS)
    leak = bound_leak(readings(shares, 0), readings(shares, 1))
    assert abs(leak.leak) < 0.02
    assert leak.leak < leak.bound < leak.leak + 0.04


def test_the_bound_holds_as_often_as_it_says() -> None:
    """A leak of 5 points is at most the bound in at least 95 of 100 measurements."""
    shares = np.full(SECRETS, 0.6)
    holds = [
        bound_leak(readings(shares + 0.05, seed), readings(shares, seed + 1000)).bound >= 0.05
        for seed in range(200)
    ]
    assert np.mean(holds) >= 0.95


def test_too_little_is_refused() -> None:
    """One secret has no spread."""
    with pytest.raises(ConfigError, match="at least 2 secrets"):
        bound_leak(np.ones((1, 5), bool), np.ones((1, 5), bool))
