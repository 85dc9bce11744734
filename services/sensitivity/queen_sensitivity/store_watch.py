"""Probes the ledger store for as long as the service runs, and publishes its health."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress

from queen.errors import QueenError
from queen.serving.health import Health
from queen_sensitivity.ledger_store import StoreCondition

LEDGER_STORE = "queen_sensitivity.ledger_store"
"""Health name of the ledger store, as this service sees it; its own name stays as it is."""


class StoreWatch:
    """Asks a store for a sign of life on `thread`, and tells its condition to the health service.

    A service whose store is away still judges the accounts in memory, so it goes on serving.
    `probe` may also do what has to wait for a store that is back.
    """

    def __init__(
        self,
        probe: Callable[[], object],
        condition: StoreCondition,
        health: Health,
        thread: Executor,
    ) -> None:
        self._probe = probe
        self._condition = condition
        self._health = health
        self._thread = thread

    async def look(self) -> None:
        """Probe once, and publish."""
        loop = asyncio.get_running_loop()
        # The condition has noted the failure, and logged it if it is new.
        with suppress(QueenError):
            await loop.run_in_executor(self._thread, self._probe)
        self._health.set_serving(LEDGER_STORE, serving=self._condition.is_up)

    async def follow(self, seconds: float) -> None:
        """Probe every so many seconds, without end."""
        while True:
            await self.look()
            await asyncio.sleep(seconds)
