"""The way of a micro-batch from the event loop to the engine's thread and back."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from time import perf_counter

from queen.errors import Overloaded
from queen.method.ledger import Assessment
from queen_sensitivity.engine.book import LedgerBook
from queen_sensitivity.engine.charging import Queries
from queen_sensitivity.metrics import SensitivityMetrics


class Dispatcher:
    """Has the engine assess micro-batches on `thread`, in the order in which they arrived.

    `thread` has a single worker, which owns the engine: the store's disk never holds up the
    event loop. At most `max_waiting` calls wait.
    """

    def __init__(
        self, book: LedgerBook, thread: Executor, metrics: SensitivityMetrics, max_waiting: int
    ) -> None:
        self._book = book
        self._thread = thread
        self._metrics = metrics
        self._max_waiting = max_waiting
        self._waiting = 0

    async def assess(self, queries: Queries) -> Assessment:
        """See `LedgerBook.assess`; Overloaded if too many calls wait already."""
        if self._waiting >= self._max_waiting:
            raise Overloaded(f"expected at most {self._max_waiting} waiting calls, got one more")
        self._waiting += 1
        self._metrics.waiting.set(self._waiting)
        try:
            # A caller that gives up while it waits is dropped from the queue, unassessed.
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, self._assess, queries, perf_counter()
            )
        finally:
            self._waiting -= 1
            self._metrics.waiting.set(self._waiting)

    def forget(self, owner: str) -> None:
        """Have the engine forget an owner, and wait until it has; for another thread."""
        self._thread.submit(self._book.forget, owner).result()

    def _assess(self, queries: Queries, arrived: float) -> Assessment:
        self._metrics.stages["wait"].observe(perf_counter() - arrived)
        with self._metrics.stages["assess"].time():
            assessment = self._book.assess(queries)
        self._metrics.count_verdicts(assessment)
        self._metrics.accounts_tracked.set(self._book.accounts_cached)
        return assessment
