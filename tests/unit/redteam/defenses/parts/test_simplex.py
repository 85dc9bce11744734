"""Points of the simplex near an answer."""

from __future__ import annotations

import numpy as np

from queen.redteam.defenses.parts.simplex import (
    LEAD,
    as_answers,
    drawn_within,
    l1_room,
    on_simplex,
    one_hot,
    with_lead,
)


def test_rows_are_divided_by_their_sums() -> None:
    """In float64, and the given rows stay."""
    rows = np.array([[1.0, 3.0], [2.0, 2.0]], np.float32)
    assert on_simplex(rows).tolist() == [[0.25, 0.75], [0.5, 0.5]]
    assert rows[0, 1] == 3.0


def test_answers_have_no_negative_entry_and_sum_to_one() -> None:
    """The rounding of a row is divided away."""
    answers = as_answers(np.array([[-1e-9, 0.5, 0.5 + 2e-9]]))
    assert answers.dtype == np.float32
    assert answers.min() == 0
    assert answers.sum() == 1


def test_the_label_leads_after_a_tie_within_the_room() -> None:
    """A lead and its cost in L1 fit between the room and the distance."""
    tie = np.array([[0.5, 0.5, 0.0]])
    lead = with_lead(tie, np.array([1]))
    assert lead[0].argmax() == 1
    assert np.abs(lead - tie).sum() <= 1.0 - l1_room(1.0)
    assert lead[0, 1] - lead[0, 0] >= LEAD * 0.99
    assert one_hot(np.array([2]), 3).tolist() == [[0, 0, 1]]


def test_a_segment_ends_at_the_distance_or_at_its_end() -> None:
    """A far point is drawn nearer; a near point and the start itself are kept."""
    start = np.array([[1.0, 0.0]] * 3)
    rows = np.array([[0.0, 1.0], [0.9, 0.1], [1.0, 0.0]])
    expected = [[0.75, 0.25], [0.9, 0.1], [1.0, 0.0]]
    np.testing.assert_allclose(drawn_within(rows, start, 0.5), expected)
