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
    """Events that a watcher did not read in time, and will not get."""

    count: int


@dataclass(frozen=True)
class Seen:
    """A crossing, and when it was seen, in nanoseconds since 1970."""

    crossing: Crossing
    time_unix_nanos: int


class Watcher:
    """One watcher's queue. What does not fit is counted, and told once the queue is empty."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._queue: deque[Seen] = deque()
        self._missed = 0
        self._has_news = asyncio.Event()

    def offer(self, event: Seen) -> None:
        """Put an event behind the others; on the loop of the watcher."""
        # After a gap nothing is put behind it before the gap itself was told.
        if self._missed or len(self._queue) >= self._capacity:
            self._missed += 1
        else:
            self._queue.append(event)
        self._has_news.set()

    async def take(self) -> Seen | Missed:
        """The next event, or how many were missed."""
        await self._has_news.wait()
        if self._queue:
            taken: Seen | Missed = self._queue.popleft()
        else:
            taken, self._missed = Missed(self._missed), 0
        if not self._queue and not self._missed:
            self._has_news.clear()
        return taken


class CrossingFeed:
    """Passes what the engine's thread publishes to the watchers on the event loop."""

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
        """Tell every watcher; from any thread, without waiting for one."""
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
        """A queue of what is published from now on; Overloaded if too many watch already."""
        if len(self._watchers) >= MOST_WATCHERS:
            raise Overloaded(f"expected at most {MOST_WATCHERS} watchers, got one more")
        watcher = Watcher(self._capacity)
        self._watchers.append(watcher)
        try:
            yield watcher
        finally:
            self._watchers.remove(watcher)
