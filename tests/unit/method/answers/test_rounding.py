"""Answers on a grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queen.method.answers.rounding import grid_step, round_answers
from queen.method.contracts import check_simplex

CLASSES = st.sampled_from([2, 3, 10, 50, 1000])


def awkward(rng: np.random.Generator, classes: int) -> np.ndarray:
    """Rows on the simplex: sure, flat, near ties, corners and numbers on the grid itself."""
    rows = [rng.dirichlet(np.full(classes, alpha), 6) for alpha in (0.05, 1.0, 1e4)]
    rows += [np.eye(classes)[:2], np.full((1, classes), 1.0 / classes)]
    tied = np.zeros((2, classes))
    tied[0, :2], tied[1, :2] = (0.5, 0.5), (0.5 + 1e-7, 0.5 - 1e-7)
    return np.concatenate([*rows, tied]).astype(np.float32)


@given(CLASSES, st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_answers_lie_on_the_grid_with_their_labels(classes: int, seed: int) -> None:
    """Simplex, label, no zeros, and every class but the label a multiple or the least number."""
    answers = awkward(np.random.default_rng(seed), classes)
    rounded, step = round_answers(answers), grid_step(classes)
    check_simplex(rounded)
    np.testing.assert_array_equal(rounded.argmax(axis=1), answers.argmax(axis=1))
    ordered = np.sort(rounded, axis=1)
    assert (ordered[:, -1] - ordered[:, -2] > step / 5).all()
    assert (rounded > 0).all()
    others = np.where(np.arange(classes) == answers.argmax(axis=1)[:, None], 0.0, rounded)
    off = np.abs(others / step - np.rint(others / step))
    assert off.max() <= 0.1 / classes + 1e-3


@given(CLASSES, st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_row_is_rounded_as_if_it_were_alone_and_once(classes: int, seed: int) -> None:
    """The same bits in any batch; an answer that lies on the grid stays."""
    answers = awkward(np.random.default_rng(seed), classes)
    rounded = round_answers(answers)
    for row in range(0, len(answers), 5):
        assert round_answers(answers[row : row + 1]).tobytes() == rounded[row].tobytes()
    np.testing.assert_array_equal(round_answers(rounded), rounded)


def test_numbers_stay_near_and_their_mean_is_kept() -> None:
    """No class moves by more than a step but the label, which takes what the others leave."""
    answers = np.random.default_rng(0).dirichlet(np.full(10, 0.2), 4000).astype(np.float32)
    moved = round_answers(answers) - answers
    others = np.where(np.arange(10) == answers.argmax(axis=1)[:, None], 0.0, moved)
    assert np.abs(others).max() <= 0.02
    assert abs(float(moved.max(axis=1).mean())) < 0.02
    assert np.abs(moved).sum(axis=1).mean() < 0.04


def test_neighbors_have_one_answer() -> None:
    """What a slope would show in float32 is gone, but where a number jumps."""
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(2000, 10)) * 4
    beside = logits + 1e-3 * rng.normal(size=logits.shape)
    one, other = (
        np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True) for rows in (logits, beside)
    )
    assert (np.abs(one - other).max(axis=1) > 1e-9).all()
    is_same = (round_answers(one) == round_answers(other)).all(axis=1)
    assert is_same.mean() > 0.9


def test_a_step_leaves_room_for_all_classes() -> None:
    """A hundredth for few classes; for many, what is rounded away of all stays below a tenth."""
    assert [grid_step(classes) for classes in (2, 10, 100)] == [0.01, 0.01, pytest.approx(0.001)]


def test_no_rows_and_no_numbers() -> None:
    """An empty batch passes through, and a NaN stays one for the contract check to refuse."""
    assert round_answers(np.empty((0, 4), np.float32)).shape == (0, 4)
    assert np.isnan(round_answers(np.array([[0.5, np.nan, 0.5]]))).any()
