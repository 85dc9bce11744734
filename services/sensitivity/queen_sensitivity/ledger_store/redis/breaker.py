"""A circuit breaker: calls of a store that does not answer fail at once instead of waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class CircuitBreaker:
    """Opens after `failures` in a row, for `cooldown_seconds`; then a single call may try.

    If the trial fails, the next trial is a cool-down later; if it succeeds, all calls are
    admitted again. Safe from any thread; `clock` gives seconds.
    """

    def __init__(
        self, failures: int, cooldown_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = failures
        self._cooldown = cooldown_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._next_trial = 0.0

    def admits(self) -> bool:
        """Whether a call may be made now; if a trial is due, the caller that gets True makes it."""
        with self._lock:
            if self._failures < self._limit:
                return True
            now = self._clock()
            if now < self._next_trial:
                return False
            self._next_trial = now + self._cooldown
            return True

    def succeeded(self) -> None:
        """Count a call that was answered."""
        with self._lock:
            self._failures = 0

    def failed(self) -> None:
        """Count a call that was not answered."""
        with self._lock:
            self._failures += 1
            self._next_trial = self._clock() + self._cooldown
