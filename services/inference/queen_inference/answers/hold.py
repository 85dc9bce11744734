"""Answers that are held: they leave at moments that do not follow from their verdicts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from itertools import count
from time import monotonic

Guard = Callable[[str, Callable[[], None]], Callable[[], None]]
"""Wraps the work of a thread by its name: `Lasting.guarded`."""


class Hold:
    """Calls functions at moments, to a tenth of a millisecond, by a thread of its own.

    The event loop's own timers do not do: they are late by up to a millisecond, by an amount that
    follows from when the loop was last awake, and so from whether a call came back meanwhile.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._loop: asyncio.AbstractEventLoop | None = None

    def at(self, moment: float, call: Callable[[], None]) -> None:
        """Call a function in the event loop at a moment of `loop.time()`; at once after the end."""
        if self._loop is None:
            call()
            return
        with self._changed:
            is_next = not self._due or moment < self._due[0][0]
            heappush(self._due, (moment, next(self._numbers), call))
            if is_next:
                self._changed.notify()

    @contextmanager
    def running(self, guarded: Guard = lambda _name, work: work) -> Iterator[None]:
        """Run the thread inside the block; `guarded` tells its death.

        What would be due after the end of the block is called at its end.
        """
        self._loop = loop = asyncio.get_running_loop()
        work = guarded("hold", lambda: self._call_all(loop))
        thread = threading.Thread(target=work, name="hold", daemon=True)
        thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._loop = None
                left, self._due = self._due, []
                self._changed.notify()
            thread.join()
            for _, _, call in sorted(left, key=lambda due: due[:2]):
                call()

    def _call_all(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._changed:
            while self._loop is not None:
                wait = self._due[0][0] - monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    _, _, call = heappop(self._due)
                    loop.call_soon_threadsafe(call)
                else:
                    self._changed.wait(wait)
