"""A clock that stands still while this process hears nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

TICK_SECONDS = 0.01


class Attention:
    """Seconds in which the event loop was there to hear an answer.

    Who sends enough can keep the loop busy, and make each peer look late that was not. What
    a peer is blamed for is therefore measured with this clock, which goes at most two ticks
    further in each turn of the loop, however long that took.
    """

    def __init__(self) -> None:
        self._seconds = 0.0

    def now(self) -> float:
        """Attentive seconds since it was begun, to a tick."""
        return self._seconds

    @asynccontextmanager
    async def paid(self) -> AsyncIterator[None]:
        """Let it run inside."""
        beating = asyncio.create_task(self._beat())
        try:
            yield
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = loop.time()
            self._seconds += min(now - before, 2 * TICK_SECONDS)
            before = now
