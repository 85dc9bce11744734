"""Samples of lines that come again and again: strangers cause some, and pay nothing for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import NamedTuple

MOST_KINDS = 512
"""Kinds that are told apart; all further ones share a sample."""


class Rate(NamedTuple):
    """At first `burst` lines, and from then on `per_second`."""

    burst: int
    per_second: float


LINES = Rate(100, 10.0)
"""Lines of a kind."""
TRACEBACKS = Rate(1, 1 / 60)
"""Tracebacks of a kind."""
ALL_LINES = Rate(1000, 100.0)
"""Lines of all kinds together."""


@dataclass(slots=True)
class _Kind:
    """Lines that may be written at the time `at`, and those that were not since the last one."""

    room: float
    at: float
    left_out: int = 0


class Sampler:
    """Admits lines at a rate, kind by kind, and counts those between; safe from any thread."""

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self.left_out = 0
        """Lines that were not admitted, of all kinds."""
        self._rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: dict[Hashable, _Kind] = {}

    def admit(self, kind: Hashable) -> int | None:
        """None if a line must not be written, else the lines of its kind left out before it."""
        now = self._clock()
        with self._lock:
            if kind not in self._kinds and len(self._kinds) >= MOST_KINDS:
                kind = None
            state = self._kinds.setdefault(kind, _Kind(self._rate.burst, now))
            gained = (now - state.at) * self._rate.per_second
            state.room = min(self._rate.burst, state.room + gained)
            state.at = now
            if state.room < 1.0:
                state.left_out += 1
                self.left_out += 1
                return None
            state.room -= 1.0
            left_out, state.left_out = state.left_out, 0
            return left_out
