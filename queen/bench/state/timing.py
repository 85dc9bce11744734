"""How long calls take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any


def cpu_times(call: Callable[[Any], object], arguments: Sequence[Any]) -> list[float]:
    """Seconds of CPU of this thread that the call took with each argument."""
    return _times(call, arguments, time.thread_time)


def wall_times(call: Callable[[Any], object], arguments: Sequence[Any]) -> list[float]:
    """Seconds that the call took with each argument."""
    return _times(call, arguments, time.perf_counter)


def interleaved(
    calls: Sequence[Callable[[Any], object]], arguments: Sequence[Sequence[Any]]
) -> list[float]:
    """Median seconds of CPU of each of several calls, which take turns.

    What else runs on the machine then slows all of them alike.
    """
    times: list[list[float]] = [[] for _ in calls]
    for given in zip(*arguments, strict=True):
        for place, (call, argument) in enumerate(zip(calls, given, strict=True)):
            times[place] += cpu_times(call, [argument])
    return [median(each) for each in times]


def p50(times: Sequence[float]) -> float:
    """The median."""
    return median(times)


def worse(ratios: Sequence[float]) -> float:
    """The ratio farther from 1."""
    return max(ratios, key=lambda ratio: max(ratio, 1.0 / ratio))


def _times(
    call: Callable[[Any], object], arguments: Sequence[Any], clock: Callable[[], float]
) -> list[float]:
    times = []
    for argument in arguments:
        start = clock()
        call(argument)
        times.append(clock() - start)
    return times
