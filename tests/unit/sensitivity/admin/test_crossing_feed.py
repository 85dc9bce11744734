"""The feed of crossings."""

from __future__ import annotations

import asyncio

import pytest
from queen_sensitivity.admin.crossing_feed import MOST_WATCHERS, CrossingFeed, Missed, Seen
from queen_sensitivity.engine.crossings import Crossing, CrossingKind

from queen.errors import Overloaded


def seen(level: int) -> Seen:
    """A crossing that is told from others by its level."""
    return Seen(Crossing(CrossingKind.THRESHOLD, "a", 0, float(level), 0.5), 42)


async def test_watchers_get_the_events_that_are_published_while_they_watch() -> None:
    """Events come from another thread, in order, and every watcher gets all of them."""
    loop = asyncio.get_running_loop()
    feed = CrossingFeed(loop, clock_nanos=lambda: 42)
    feed.publish([seen(0).crossing])
    with feed.watching() as first, feed.watching() as second:
        await loop.run_in_executor(None, feed.publish, [seen(1).crossing, seen(2).crossing])
        for watcher in (first, second):
            events = [await watcher.next_event(), await watcher.next_event()]
            assert events == [seen(1), seen(2)]


async def test_a_slow_watcher_is_told_how_many_events_it_missed() -> None:
    """Events that fit are kept, the gap is counted, and later events come after the count."""
    feed = CrossingFeed(asyncio.get_running_loop(), capacity=2, clock_nanos=lambda: 42)
    with feed.watching() as watcher:
        for level in range(5):
            watcher.offer(seen(level))
        events = [await watcher.next_event() for _ in range(3)]
        assert events == [seen(0), seen(1), Missed(3)]
        watcher.offer(seen(9))
        assert await watcher.next_event() == seen(9)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watcher.next_event(), 0.01)


async def test_watchers_are_bounded() -> None:
    """A watcher above the bound is refused; a watcher that ends makes room."""
    feed = CrossingFeed(asyncio.get_running_loop())
    watches = [feed.watching() for _ in range(MOST_WATCHERS)]
    for watch in watches:
        watch.__enter__()
    with pytest.raises(Overloaded), feed.watching():
        pass
    watches[0].__exit__(None, None, None)
    with feed.watching():
        pass
