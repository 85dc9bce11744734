"""Measures the time of calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import TypeVar

T = TypeVar("T")


def cpu_times(call: Callable[[T], object], arguments: Sequence[T]) -> list[float]:
    """Seconds of CPU time of this thread, for each argument of the call."""
    return _times(call, arguments, time.thread_time)


def wall_times(call: Callable[[T], object], arguments: Sequence[T]) -> list[float]:
    """Seconds on the clock, for each argument of the call."""
    return _times(call, arguments, time.perf_counter)


def interleaved(
    calls: Sequence[Callable[[T], object]], arguments: Sequence[Sequence[T]]
) -> list[float]:
    """Median seconds of CPU time of several calls, which take turns.

    Other work on the machine then slows all of them alike.
    """
    times: list[list[float]] = [[] for _ in calls]
    for turn in zip(*arguments, strict=True):
        for spent, call, argument in zip(times, calls, turn, strict=True):
            spent.extend(cpu_times(call, [argument]))
    return [median(spent) for spent in times]


def p50(times: Sequence[float]) -> float:
    """The median."""
    return median(times)


def worse(ratios: Sequence[float]) -> float:
    """The ratio farther from 1."""
    return max(ratios, key=lambda ratio: max(ratio, 1.0 / ratio))


def _times(
    call: Callable[[T], object], arguments: Sequence[T], clock: Callable[[], float]
) -> list[float]:
    times = []
    for argument in arguments:
        start = clock()
        call(argument)
        times.append(clock() - start)
    return times
