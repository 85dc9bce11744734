"""The figures of a row, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from queen.redteam.runs.figures import (
    KindFigures,
    clean_rows,
    history_curve,
    honest_figures,
    mean_figures,
    of_kinds,
    traffic_figures,
)
from queen.redteam.targets.traffic import Exchange, Traffic

SURE = np.eye(3, dtype=np.float32)


def _exchange(account: str, flags: list[bool]) -> Exchange:
    answers = SURE[np.zeros(len(flags), int)]
    return Exchange(account, answers, answers, np.array(flags, bool))


def test_honest_figures_are_shares_of_what_was_sent():
    """Accuracy is against the truth, flips against the protectee's labels."""
    truth, own = np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2])
    honest = honest_figures(SURE[[0, 1, 2, 0]], truth, own)
    assert honest.accuracy == 0.75
    assert honest.flip_rate == 0.5


def test_a_refused_query_is_neither_right_nor_flipped():
    """A refusal is counted by itself; accuracy and curve are over all queries that were sent."""
    answers = SURE[[0, 1, 2, 0]]
    answers[2:] = np.nan
    honest = honest_figures(answers, np.array([0, 1, 2, 2]), np.array([0, 0, 1, 2]))
    assert (honest.accuracy, honest.flip_rate) == (0.5, 0.25)
    assert honest.refused == 0.5
    assert honest.curve[-1][1] == 0.0


def test_accounts_of_a_kind_are_a_mean():
    """Point by point of the history; an unknown point of one account is known from another."""
    first = KindFigures(0.5, 0.2, 0.0, [[0, 1.0], [9, None]])
    second = KindFigures(0.7, 0.0, 0.2, [[0, 0.5], [9, 0.25]])
    both = mean_figures([first, second])
    assert (both.accuracy, both.flip_rate, both.refused) == pytest.approx((0.6, 0.1, 0.1))
    assert both.curve == [[0, 0.75], [9, 0.25]]


def test_the_worst_kind_is_harmed_most():
    """Changed and refused count alike; an account that is wrong by itself is not harmed."""
    wrong = KindFigures(0.1, 0.0, 0.0, [])
    changed, refused = KindFigures(0.9, 0.05, 0.0, []), KindFigures(0.8, 0.0, 0.2, [])
    honest = of_kinds({"even": wrong, "zipf": changed, "one class": refused})
    assert (honest.honest_kind, honest.honest_accuracy) == ("one class", 0.8)
    assert honest.honest_by_kind["zipf"]["flip_rate"] == 0.05
    assert of_kinds({"even": wrong, "zipf": wrong}).honest_kind == "even"


def test_the_distance_is_of_the_answers_that_were_given():
    """A refused query is reversed and at no distance; without any answer there is no distance."""
    answers, flags = SURE[[0, 1]], np.array([False, True])
    answers[1] = np.nan
    traffic = Traffic([Exchange("a", answers, SURE[[1, 1]], flags)])
    assert traffic_figures(traffic) == {"mean_l1": 2.0, "reversed_fraction": 0.5}
    refused = Traffic([Exchange("a", answers[1:], SURE[:1], flags[1:])])
    assert traffic_figures(refused) == {"mean_l1": None, "reversed_fraction": 1.0}


def test_a_curve_is_told_at_the_stated_histories():
    """Windows of 500 around 500 and 2,000, of 250 at the ends."""
    is_right = np.zeros(10_000, bool)
    is_right[:250] = True
    is_right[250:500] = True
    is_right[9_750:] = True
    assert history_curve(is_right) == [[0, 1.0], [500, 0.5], [2_000, 0.0], [10_000, 1.0]]


def test_a_short_curve_is_told_at_its_own_quarters():
    """An account that sent fewer is not told at histories that it never had."""
    curve = history_curve(np.array([True] * 40 + [False] * 40))
    assert [point[0] for point in curve] == [0, 20, 40, 80]
    assert [point[1] for point in curve] == [1.0, 1.0, 0.5, 0.0]


def test_traffic_is_compared_row_by_row():
    """L1 is the mean over rows, the reversed share a share of rows."""
    answers, own = SURE[[0, 1]], SURE[[0, 0]]
    traffic = Traffic([Exchange("a", answers, own, np.array([False, True]))])
    assert traffic_figures(traffic) == {"mean_l1": 1.0, "reversed_fraction": 0.5}


def test_what_does_not_exist_is_none():
    """Without verdicts, without the protectee's answers, without traffic there is no figure."""
    plain = Traffic([Exchange("a", SURE, None, None)])
    assert traffic_figures(plain) == {"mean_l1": None, "reversed_fraction": None}
    assert traffic_figures(Traffic()) == {"mean_l1": None, "reversed_fraction": None}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([[False, False, True, False]], [0, 1]),
        ([[False, False, False, False]], [0, 1, 2, 3]),
        ([[True, False]], []),
        # Query i went to account i mod 2.
        ([[False, True], [False, False]], [0, 1, 3]),
    ],
)
def test_the_clean_prefix_is_each_accounts_own(flags: list[list[bool]], expected: list[int]):
    """Rows of the stream that an account got before its first reversal, in their order."""
    traffic = Traffic([_exchange(f"thief-{n}", each) for n, each in enumerate(flags)])
    assert clean_rows(traffic, len(flags)).tolist() == expected


def test_a_prefix_goes_on_over_batches():
    """The first reversal counts over all that an account sent."""
    batches = [_exchange("thief-0", [False, False]), _exchange("thief-0", [False, True])]
    assert clean_rows(Traffic(batches), 1).tolist() == [0, 1, 2]
