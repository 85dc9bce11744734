"""The clock that does not count what the event loop slept through."""

from __future__ import annotations

import asyncio
import time

from queen_inference.peers.loop_clock import TICK_SECONDS, LoopClock


async def test_it_follows_the_clock_of_an_idle_loop() -> None:
    """Seconds pass, less than a few ticks behind the wall clock, and end with the block."""
    clock = LoopClock()
    async with clock.running():
        began = asyncio.get_running_loop().time()
        while clock.now() < 0.2:
            await asyncio.sleep(TICK_SECONDS)
        assert asyncio.get_running_loop().time() - began >= 0.2 - 2 * TICK_SECONDS
    ended = clock.now()
    await asyncio.sleep(3 * TICK_SECONDS)
    assert clock.now() == ended


async def test_a_stall_counts_two_ticks() -> None:
    """A turn of the loop that takes a third of a second is one in which nobody was heard."""
    clock = LoopClock()
    async with clock.running():
        for _ in range(3):
            time.sleep(0.3)
            await asyncio.sleep(0.0)
        assert clock.now() <= 3 * 2 * TICK_SECONDS
