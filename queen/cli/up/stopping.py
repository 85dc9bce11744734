"""Requests to stop: SIGINT, SIGTERM and SIGHUP, as events to wait for."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequests:
    """Counts how often the operator asked to stop."""

    def __init__(self) -> None:
        self.count = 0
        self._news = asyncio.Event()

    def ask(self) -> None:
        """Ask to stop, as a signal does."""
        self.count += 1
        self._news.set()
        # All waiting tasks wake up; the next request sets another event.
        self._news = asyncio.Event()

    async def beyond(self, count: int) -> None:
        """Wait until more than `count` requests were made."""
        while self.count <= count:
            await self._news.wait()

    @contextmanager
    def from_signals(self) -> Iterator[None]:
        """Have the signals ask to stop while the block runs; on the main thread only."""
        loop = asyncio.get_running_loop()
        for stopping in SIGNALS:
            loop.add_signal_handler(stopping, self.ask)
        try:
            yield
        finally:
            for stopping in SIGNALS:
                loop.remove_signal_handler(stopping)
