"""How well a thief tells two kinds of queries apart."""

from __future__ import annotations

import numpy as np
import pytest

from queen.bench.verdict_time.guesses import Rounds, auc_fastest, auc_one, auc_percentile


def rounds_of(shift: float, drift: float = 0.0, rounds: int = 10) -> Rounds:
    """Times of two kinds, one of them slower by a shift; each round is slower than the last."""
    rng = np.random.default_rng(3)
    return [
        (rng.gamma(4.0, 1.0, 300) + shift + drift * at, rng.gamma(4.0, 1.0, 300) + drift * at)
        for at in range(rounds)
    ]


def test_times_that_do_not_differ_tell_nothing() -> None:
    """However often a thief asks."""
    same = rounds_of(0.0)
    assert auc_one(same) < 0.52
    assert auc_fastest(same, 8) < 0.56
    assert auc_percentile(same, 40, 10.0) < 0.62


def test_more_askings_tell_more_until_they_tell_all() -> None:
    """The least time has little noise: a shift that one asking hides shows in the fastest of 8."""
    apart = rounds_of(1.0)
    assert 0.6 < auc_one(apart) < auc_fastest(apart, 8) < auc_percentile(apart, 40, 10.0) <= 1.0


def test_the_faster_kind_may_be_either() -> None:
    """A thief who knows which one it is turns the guess round."""
    apart = rounds_of(1.0)
    turned = [(fast, slow) for slow, fast in apart]
    assert auc_one(turned) == pytest.approx(auc_one(apart))
    assert auc_fastest(turned, 8) > 0.6


def test_a_machine_that_gets_slower_hides_nothing() -> None:
    """Askings are compared with others of the same rounds."""
    assert auc_one(rounds_of(1.0, drift=50.0)) == pytest.approx(auc_one(rounds_of(1.0)))
    assert auc_fastest(rounds_of(1.0, drift=50.0), 8) > 0.6


def test_ties_count_half() -> None:
    """A clock that is too coarse tells nothing."""
    assert auc_one([(np.ones(4), np.ones(7))]) == 0.5
    assert auc_fastest([(np.ones(9), np.ones(9))], 8) == 0.5
