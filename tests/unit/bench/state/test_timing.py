"""Times of calls and what is made of them."""

from __future__ import annotations

import time

from queen.bench.state.timing import cpu_times, interleaved, p50, wall_times, worse


def test_waiting_is_no_cpu_time() -> None:
    """A call that sleeps costs time on the clock and next to none of the thread."""
    assert min(wall_times(time.sleep, [0.02, 0.02])) >= 0.02
    assert max(cpu_times(time.sleep, [0.02, 0.02])) < 0.01


def test_calls_are_made_in_turns() -> None:
    """The first argument of every call comes before the second of any."""
    order: list[str] = []
    medians = interleaved([order.append, order.append], [["a1", "a2"], ["b1", "b2"]])
    assert order == ["a1", "b1", "a2", "b2"]
    assert len(medians) == 2


def test_the_worse_ratio_is_farther_from_one() -> None:
    """Half is as far as double."""
    assert worse([1.1, 0.5]) == 0.5
    assert worse([0.9, 1.5]) == 1.5
    assert p50([3.0, 1.0, 2.0]) == 2.0
