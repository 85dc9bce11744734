"""A clock that runs only while the event loop turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

TICK_SECONDS = 0.01


class LoopClock:
    """Counts the seconds in which the event loop could have received an answer.

    Callers who send enough keep the loop busy, and make every peer look late. A peer's delay
    is therefore measured with this clock: a turn of the loop counts at most two ticks, however
    long it lasted.
    """

    def __init__(self) -> None:
        self._seconds = 0.0

    def now(self) -> float:
        """Seconds counted so far, to a tick."""
        return self._seconds

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let the clock run inside the block."""
        ticking = asyncio.create_task(self._tick())
        try:
            yield
        finally:
            ticking.cancel()
            with suppress(asyncio.CancelledError):
                await ticking

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = loop.time()
            self._seconds += min(now - before, 2 * TICK_SECONDS)
            before = now
