"""A circuit breaker: a store that does not answer is not waited for again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class CircuitBreaker:
    """Open after `failures` in a row, for `cooldown_seconds`; then one call may try.

    If the trial fails, the next one is a cool-down later; if it succeeds, all calls are
    let through again. Safe from any thread; `clock` gives seconds.
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
        """Whether a call may be made now; asking takes the trial, if there is one."""
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
        """Count a call that was not."""
        with self._lock:
            self._failures += 1
            self._next_trial = self._clock() + self._cooldown
