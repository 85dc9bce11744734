from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queen.errors import FitError
from queen.method.off_distribution import (
    AccountMeter,
    MeterRows,
    OffDistributionMeter,
    walk_owners,
)
from tests.unit.method.regions import bounded

TAILS = np.array([1.0, 2.0, 4.0])


def _meter(**changes: Any) -> OffDistributionMeter:
    good: dict[str, Any] = {"tail_distance": TAILS, "rise": 1.6, "fall": 0.13, "limit": 9.0}
    return OffDistributionMeter(**good | changes)


@given(st.lists(st.booleans(), max_size=80), st.floats(0, 20))
@bounded
def test_the_walk_is_the_cumulative_sum_of_the_definition(far: list[bool], start: float) -> None:
    """S_i = max(0, S_{i-1} + rise) for a query in the tail, max(0, S_{i-1} - fall) for another."""
    expected, level = [], start
    for is_far in far:
        level = max(0.0, level + (1.6 if is_far else -0.13))
        expected.append(level)
    assert _meter().walk(start, far) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 60))
@bounded
def test_a_walk_may_be_interrupted(far: list[bool], split: int) -> None:
    """From the last level on, the second half gives the same levels to the bit."""
    meter = _meter()
    first = meter.walk(0.0, far[:split])
    level = first[-1] if first else 0.0
    assert first + meter.walk(level, far[split:]) == meter.walk(0.0, far)


def test_the_edge_of_the_tail_is_not_in_it() -> None:
    """Farther than the tail distance of the predicted class, strictly."""
    labels = np.array([0, 0, 1, 1, 2, 2])
    distances = np.array([1.0, np.nextafter(1.0, 2), 2.0, 2.1, 3.9, 4.1])
    is_far = _meter().is_far(distances, labels)
    assert is_far.tolist() == [False, True, False, True, False, True]


def test_no_queries_are_no_walk() -> None:
    """Nothing in, nothing out."""
    none = np.empty(0)
    assert _meter().walk(3.0, []) == []
    assert _meter().is_far(none, none.astype(np.int64)).shape == (0,)


@pytest.mark.parametrize(
    "part",
    [
        {"tail_distance": np.array([1.0, np.nan, 2.0])},
        {"tail_distance": np.array([1.0, np.inf, 2.0])},
        {"tail_distance": np.array([1.0, 0.0, 2.0])},
        {"rise": np.nan},
        {"rise": np.inf},
        {"rise": 0.1},
        {"fall": 0.0},
        {"fall": np.nan},
        {"limit": 0.0},
        {"limit": np.nan},
        {"limit": np.inf},
    ],
)
def test_a_meter_that_would_never_flag_is_refused(part: dict[str, Any]) -> None:
    """A NaN or an infinity compares as false, and the meter would be off without a word."""
    with pytest.raises(FitError):
        _meter(**part)


@pytest.mark.parametrize("rise", [np.log(5), 1.6, 1.7000001, 2.3])
def test_every_mark_is_appended_once(rise: float) -> None:
    """A level that float32 cannot hold is rounded up, so that it counts as kept."""
    meter = AccountMeter(2)
    for number in range(1, 40):
        mark = number * rise / 3
        meter.extend(meter.as_record(mark))
        assert mark <= meter.peak <= mark * (1 + 1e-6)


def test_each_owner_walks_over_its_own_rows() -> None:
    """A batch of three owners gives the levels that each would have alone, and marks by owner."""
    meter = _meter(limit=3.0)
    owner = np.array([0, 1, 1, 2, 1, 0, 1])
    is_far = np.array([False, True, True, True, False, False, True])
    rows = MeterRows(owner, is_far, np.arange(14, dtype=np.float32).reshape(7, 2))
    meters = [AccountMeter(2) for _ in range(3)]
    walks = walk_owners(meter, rows, np.array([1.0, 0.0, 0.5]), np.zeros(3), meters.__getitem__)
    alone = [meter.walk(1.0, [False] * 2)[-1], meter.walk(0.0, [True, True, False, True])[-1]]
    assert walks.levels.tolist() == pytest.approx([*alone, 2.1])
    # The second tail query of owner 1 brings it to the limit: it is over from its next row on.
    assert walks.is_off.tolist() == [False, False, False, False, True, False, True]
    assert walks.marks == [(1, 3.0), (2, 2.1)]
