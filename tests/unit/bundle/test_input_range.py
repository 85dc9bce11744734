"""The bounds of inputs, and what passes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from queen.bundle import InputRange
from queen.bundle.input_range import channel_extremes
from queen.errors import OutOfRange

UNIT = InputRange(low=[0.0], high=[1.0], tolerance=0.004)
NORMALIZED = InputRange(
    channel_axis=1, low=[-2.1, -2.0, None], high=[2.2, 2.4, 2.6], tolerance=0.02
)


def images(*values: float) -> np.ndarray:
    """An image (1, 3, 2, 2) with a value for each channel, and zeros beside it."""
    image = np.zeros((1, 3, 2, 2), np.float32)
    image[0, :, 1, 0] = values
    return image


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
def test_rounding_passes_a_bound(dtype: str) -> None:
    """A client that computes in half precision is inside, one that brightens is not."""
    inside = np.array([[0.0, 1.0], [-0.003, 1.003]], dtype)
    beyond = np.array([[0.0, 1.01], [-0.01, 1.0], [1.5, 1.5]], dtype)
    assert UNIT.has_inside(inside).all()
    assert not UNIT.has_inside(beyond).any()
    UNIT.require_inside(inside, "x")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (1.5, "input 'x': expected numbers from 0 to 1, .* got a largest number above"),
        (-0.25, "input 'x': expected numbers from 0 to 1, .* got a smallest number below"),
    ],
)
def test_the_error_says_the_bounds_and_the_side_and_no_number(value: float, problem: str) -> None:
    """The bounds are public; the numbers of a query are not repeated."""
    with pytest.raises(OutOfRange, match=problem) as caught:
        UNIT.require_inside(np.array([[0.5, value], [0.5, 0.5]]), "x")
    assert str(value) not in str(caught.value)
    assert caught.value.field == "inputs[0]"


def test_each_channel_has_bounds_of_its_own() -> None:
    """A number that one channel may hold is too large for another; an open side bounds nothing."""
    assert NORMALIZED.has_inside(images(2.2, 2.4, 2.6)).all()
    assert NORMALIZED.has_inside(images(0, 0, -90)).all()
    with pytest.raises(OutOfRange, match=r"'x', channel 0: expected numbers from -2\.1 to"):
        NORMALIZED.require_inside(images(2.4, 0, 0), "x")
    with pytest.raises(OutOfRange, match=r"channel 2: expected numbers of at most 2\.6"):
        NORMALIZED.require_inside(images(0, 0, 2.7), "x")


def test_one_row_is_enough_to_refuse_a_request() -> None:
    """Wherever it stands."""
    rows = np.concatenate([images(0, 0, 0)] * 3 + [images(0, 3, 0)])
    assert NORMALIZED.has_inside(rows).tolist() == [True, True, True, False]
    with pytest.raises(OutOfRange, match="channel 1"):
        NORMALIZED.require_inside(rows, "x")


def test_nan_and_infinity_lie_outside() -> None:
    """Whether or not somebody looked for them before."""
    rows = np.array([[np.nan, 0.5], [np.inf, 0.5], [-np.inf, 0.5]])
    assert not UNIT.has_inside(rows).any()


def test_integers_have_no_tolerance() -> None:
    """Their bounds are exact."""
    grays = InputRange(low=[0.0], high=[16.0], tolerance=0.0)
    rows = np.array([[0, 16], [0, 17]], np.uint8)
    assert grays.has_inside(rows).tolist() == [True, False]


def test_channels_may_be_last() -> None:
    """The axis says where they are."""
    first = np.arange(24.0).reshape(2, 3, 2, 2)
    smallest, largest = channel_extremes(first, 1)
    assert smallest.tolist() == [[0, 4, 8], [12, 16, 20]]
    assert largest.tolist() == [[3, 7, 11], [15, 19, 23]]
    last = channel_extremes(np.moveaxis(first, 1, 3), 3)
    np.testing.assert_array_equal(last, (smallest, largest))
    whole = channel_extremes(first, None)
    assert [part.tolist() for part in whole] == [[[0], [12]], [[11], [23]]]


def test_bounds_in_words() -> None:
    """Channel by channel, once where all are alike."""
    assert UNIT.describe() == "from 0 to 1"
    assert NORMALIZED.describe() == (
        "channel 0 from -2.1 to 2.2; channel 1 from -2 to 2.4; channel 2 of at most 2.6"
    )
    alike = InputRange(channel_axis=1, low=[0.0] * 3, high=[None] * 3, tolerance=0)
    assert alike.describe() == "of at least 0"
    assert InputRange(low=[None], high=[None], tolerance=0).describe() == "without bounds"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"low": [0.0, 0.0]}, "as many low as high bounds, got 2 and 1"),
        ({"low": [0.0, 0.0], "high": [1.0, 1.0]}, "one channel without an axis, got 2"),
        ({"low": [1.0]}, "a low bound below the high one, got 1.0 and 1.0"),
        ({"high": [float("nan")]}, "finite bounds"),
        ({"tolerance": -0.1}, "greater than or equal to 0"),
        ({"tolerance": float("inf")}, "finite number"),
        ({"channel_axis": 0}, "greater than or equal to 1"),
        ({"low": [], "high": []}, "at least 1 item"),
    ],
)
def test_bounds_that_cannot_be_are_refused(change: dict[str, Any], problem: str) -> None:
    """A manifest that a hand changed is an error when it is read, not at the first request."""
    fields: dict[str, Any] = {"low": [0.0], "high": [1.0], "tolerance": 0.0}
    with pytest.raises(ValidationError, match=problem):
        InputRange(**fields | change)
