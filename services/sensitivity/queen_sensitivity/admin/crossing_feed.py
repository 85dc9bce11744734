"""The feed of crossings: from the thread of the engine to the watchers on the event loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from queen.errors import Overloaded
from queen_sensitivity.engine.crossings import Crossing

WATCHER_CAPACITY = 1024
"""Events that wait for one watcher."""
MOST_WATCHERS = 32


@dataclass(frozen=True)
class Missed:
    """Count of the events that a watcher did not read in time, and will not get."""

    count: int


@dataclass(frozen=True)
class Seen:
    """A crossing, and when it was seen, in nanoseconds since 1970."""

    crossing: Crossing
    time_unix_nanos: int


class Watcher:
    """The queue of one watcher; events that do not fit are counted.

    The watcher gets the count once it has read the events before the gap.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._queue: deque[Seen] = deque()
        self._missed = 0
        self._has_news = asyncio.Event()

    def offer(self, event: Seen) -> None:
        """Put an event at the end of the queue; called on the watcher's event loop."""
        # An event behind a gap would come before the count of the gap, so it joins the gap.
        if self._missed or len(self._queue) >= self._capacity:
            self._missed += 1
        else:
            self._queue.append(event)
        self._has_news.set()

    async def next_event(self) -> Seen | Missed:
        """The next event, or how many were missed."""
        await self._has_news.wait()
        event: Seen | Missed
        if self._queue:
            event = self._queue.popleft()
        else:
            event, self._missed = Missed(self._missed), 0
        if not self._queue and not self._missed:
            self._has_news.clear()
        return event


class CrossingFeed:
    """Passes the crossings that the engine's thread publishes to watchers on the event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        capacity: int = WATCHER_CAPACITY,
        clock_nanos: Callable[[], int] = time.time_ns,
    ) -> None:
        self._loop = loop
        self._capacity = capacity
        self._clock_nanos = clock_nanos
        self._watchers: list[Watcher] = []

    def publish(self, crossings: Sequence[Crossing]) -> None:
        """Tell every watcher, without waiting for any; may be called from any thread."""
        if crossings and self._watchers:
            now = self._clock_nanos()
            events = [Seen(crossing, now) for crossing in crossings]
            self._loop.call_soon_threadsafe(self._offer, events)

    def _offer(self, events: Sequence[Seen]) -> None:
        for watcher in self._watchers:
            for event in events:
                watcher.offer(event)

    @contextmanager
    def watching(self) -> Iterator[Watcher]:
        """A queue of the events from now on; Overloaded if there are too many watchers already."""
        if len(self._watchers) >= MOST_WATCHERS:
            raise Overloaded(f"expected at most {MOST_WATCHERS} watchers, got one more")
        watcher = Watcher(self._capacity)
        self._watchers.append(watcher)
        try:
            yield watcher
        finally:
            self._watchers.remove(watcher)
