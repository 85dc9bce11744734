from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queen.errors import FitError
from queen.method.meter.off_distribution import (
    UNKNOWN_LEVEL,
    AccountMeter,
    MeterRows,
    OffDistributionMeter,
    Walk,
    room_left,
    tail_cells,
    walk_owners,
)
from queen.method.sensitivity import packing_limit
from tests.unit.method.regions import bounded, discs

GEOMETRY = discs(3)
TAILS = np.array([1.0, 2.0, 4.0])


def _meter(**changes: Any) -> OffDistributionMeter:
    good: dict[str, Any] = {"tail_distance": TAILS, "rise": 1.6, "fall": 0.13, "limit": 9.0}
    return OffDistributionMeter(**good | changes)


STEPS = st.lists(st.sampled_from([1.6, 0.4, 0.0, -0.13]), max_size=80)


def _walk(level: float, steps: list[float], meter: AccountMeter | None = None) -> Walk:
    """A walk in which every tail query is in a cell of its own."""
    cells = {row: f"{level} {row}".encode() for row in range(len(steps))}
    account = AccountMeter(2) if meter is None else meter
    return account.walk(_meter(limit=1e6), level, range(len(steps)), steps, cells)


@given(STEPS, st.floats(0, 20))
@bounded
def test_the_walk_is_the_cumulative_sum_of_the_definition(steps: list[float], start: float) -> None:
    """S_i = max(0, S_{i-1} + step), step by step."""
    level = start
    for step in steps:
        level = max(0.0, level + step)
    assert _walk(start, steps).level == pytest.approx(level, abs=1e-12)


@given(STEPS, st.integers(0, 80))
@bounded
def test_a_walk_may_be_interrupted(steps: list[float], split: int) -> None:
    """From the last level on, the second half gives the same level to the bit."""
    first = _walk(0.0, steps[:split])
    assert _walk(first.level, steps[split:]).level == _walk(0.0, steps).level


def test_only_a_record_lowers_the_level() -> None:
    """A tail query raises it by the room of its class, recorded or not; nothing else moves it."""
    is_far = np.array([True, True, True, False, False])
    is_recorded = np.array([False, True, False, True, False])
    steps = _meter().steps(is_far, is_recorded, np.array([1.0, 0.5, 0.0, 1.0, 1.0]))
    assert steps.tolist() == pytest.approx([1.6, 0.8, 0.0, -0.13, 0.0])


def test_a_ledger_that_fills_leaves_less_room() -> None:
    """All of it at first, a quarter halfway to the packing limit, and none from there on."""
    limit = packing_limit(GEOMETRY.alpha, 2)
    room = room_left(GEOMETRY, np.array([0.0, 0.5, 1.0, 1.5]) * limit)
    assert room.tolist() == pytest.approx([1.0, 0.25, 0.0, 0.0])


def test_a_cell_that_is_asked_about_again_counts_once() -> None:
    """A slight change of a tail query lies in the same cell, another class never does."""
    points = np.array([[5.05, 0.05], [5.15, 0.1], [5.25, 0.1], [5.05, 0.05]], np.float32)
    same, slight, other, class_one = tail_cells(GEOMETRY, points, np.array([0, 0, 0, 1]))
    assert same == slight
    assert len({same, other, class_one}) == 3
    meter = AccountMeter(2)
    cells = dict(enumerate([same, slight, other, same]))
    walk = meter.walk(_meter(), 0.0, range(4), [1.6] * 4, cells)
    assert walk.level == pytest.approx(3.2)


def test_zero_has_one_cell() -> None:
    """The two zeros of a float differ in their bytes, and are one number."""
    points = np.array([[0.0, 0.0], [-0.0, -0.0]], np.float32)
    first, second = tail_cells(GEOMETRY, points, np.array([0, 0]))
    assert first == second


def test_a_loaded_account_begins_with_a_record() -> None:
    """Its old tail queries are no news; from its first record on new ones count."""
    meter = AccountMeter(2)
    assert _walk(UNKNOWN_LEVEL, [1.6] * 50, meter).level == UNKNOWN_LEVEL
    assert _walk(UNKNOWN_LEVEL, [1.6, -0.13, 1.6, 0.0], AccountMeter(2)).level == 1.6


def test_a_loaded_account_cannot_ask_about_strange_cells_forever() -> None:
    """Once its memory of cells is full, further ones count."""
    assert _walk(UNKNOWN_LEVEL, [1.6] * 256).level == 1.6


def test_the_edge_of_the_tail_is_not_in_it() -> None:
    """Farther than the tail distance of the predicted class, strictly."""
    labels = np.array([0, 0, 1, 1, 2, 2])
    distances = np.array([1.0, np.nextafter(1.0, 2), 2.0, 2.1, 3.9, 4.1])
    is_far = _meter().is_far(distances, labels)
    assert is_far.tolist() == [False, True, False, True, False, True]


def test_no_queries_are_no_walk() -> None:
    """Nothing in, nothing out."""
    none = np.empty(0)
    assert _walk(3.0, []) == Walk(3.0, 0, None)
    assert _meter().is_far(none, none.astype(np.int64)).shape == (0,)
    assert tail_cells(GEOMETRY, np.empty((0, 2), np.float32), none.astype(np.int64)) == []


@pytest.mark.parametrize(
    "part",
    [
        {"tail_distance": np.array([1.0, np.nan, 2.0])},
        {"tail_distance": np.array([1.0, np.inf, 2.0])},
        {"tail_distance": np.array([1.0, 0.0, 2.0])},
        {"rise": np.nan},
        {"rise": np.inf},
        {"rise": 0.0},
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
    """A batch of four owners gives the levels that each would have alone, and marks by owner."""
    meter = _meter(limit=3.0)
    owner = np.array([0, 1, 1, 2, 1, 0, 1, 3])
    steps = np.array([-0.13, 1.6, 1.6, 1.6, -0.13, -0.13, 1.6, 0.0])
    cells = {row: bytes([row]) for row in (1, 2, 3, 6)}
    meters = [AccountMeter(2) for _ in range(4)]
    levels = np.array([1.0, 0.0, 0.5, UNKNOWN_LEVEL])
    rows = MeterRows(owner, steps, cells, np.arange(8), 4)
    walks = walk_owners(meter, rows, levels, np.zeros(4), meters.__getitem__)
    alone = [_walk(1.0, [-0.13] * 2).level, _walk(0.0, [1.6, 1.6, -0.13, 1.6]).level]
    assert walks.levels.tolist() == pytest.approx([*alone, 2.1, UNKNOWN_LEVEL])
    # The second tail query of owner 1 brings it to the limit: it is over from its next row on.
    assert walks.is_off.tolist() == [False, False, False, False, True, False, True, False]
    assert walks.marks == [(1, 3.0), (2, 2.1)]


def test_one_member_does_not_bring_its_group_to_the_limit() -> None:
    """The group's limit is twice that of an account, and who is off-distribution moves it no more.

    Two members do, each by its own queries.
    """
    meter = _meter(limit=3.0)

    def sent(members: list[int]) -> MeterRows:
        count = len(members)
        cells = {row: bytes([row % count]) for row in range(2 * count)}
        owner = np.array(members + [2] * count)
        return MeterRows(owner, np.full(2 * count, 1.6), cells, np.tile(np.arange(count), 2), 2)

    meters = [AccountMeter(2) for _ in range(3)]
    walks = walk_owners(meter, sent([0] * 40), np.zeros(3), np.zeros(3), meters.__getitem__)
    assert walks.is_off.tolist() == [False] * 2 + [True] * 38 + [False] * 40
    assert walks.levels.tolist() == pytest.approx([40 * 1.6, 0.0, 3.2])
    assert walks.marks == [(0, 3.0), (2, 3.2)]
    meters = [AccountMeter(2) for _ in range(3)]
    walks = walk_owners(meter, sent([0, 1] * 20), np.zeros(3), np.zeros(3), meters.__getitem__)
    assert walks.is_off[40:].tolist() == [False] * 4 + [True] * 36
    assert walks.marks == [(0, 3.0), (1, 3.0), (2, 6.0)]


def test_a_record_ends_that_a_level_is_unknown() -> None:
    """In a batch without tail queries, too."""
    rows = MeterRows(np.array([0, 1, 1]), np.array([0.0, -0.13, 0.0]), {}, np.arange(3), 2)
    levels = np.full(2, UNKNOWN_LEVEL)
    walks = walk_owners(_meter(), rows, levels, np.zeros(2), lambda _: AccountMeter(2))
    assert walks.levels.tolist() == [UNKNOWN_LEVEL, 0.0]


def test_a_copy_of_a_meter_is_walked_without_a_trace() -> None:
    """Marks and remembered cells are its own from then on."""
    meter = AccountMeter(2)
    meter.extend(meter.as_record(2.0))
    copy = meter.copy()
    walk = partial(AccountMeter.walk, meter=_meter(), level=0.0, rows=[0], steps=[1.6])
    assert walk(copy, cells={0: b"cell"}).level == 1.6
    copy.extend(copy.as_record(5.0))
    assert (meter.peak, meter.marks, meter.recent) == (2.0, [2.0], None)
    assert copy.peak == 5.0
    # The same cell again is news to the meter, and not to the copy.
    assert walk(meter, cells={0: b"cell"}).level == 1.6
    assert walk(copy.copy(), cells={0: b"cell"}).level == 0.0
