"""The watch over the ledger store: its condition is the health of a name of its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from prometheus_client import Gauge
from queen_sensitivity.ledger_store import MemoryLedgerStore, StoreCondition, WatchedStore
from queen_sensitivity.store_watch import LEDGER_STORE, StoreWatch

from queen.errors import DependencyUnavailable
from queen.serving.health import Health


class GoneStore(MemoryLedgerStore):
    """A store that can be gone."""

    is_gone = False
    probes = 0

    def probe(self) -> bool:
        """Fail or answer."""
        self.probes += 1
        if self.is_gone:
            raise DependencyUnavailable("the ledger store did not answer (ConnectionError)")
        return True


async def test_health_follows_the_store_and_the_watch_outlives_it() -> None:
    """A store that is gone ends nothing but its own health, and comes back by itself."""
    store, health = GoneStore(), Health()
    up, room = (Gauge(name, name, registry=None) for name in ("up", "room"))
    condition = StoreCondition(up, room)
    with ThreadPoolExecutor(1) as thread:
        watch = StoreWatch(WatchedStore(store, condition).probe, condition, health, thread)
        await watch.look()
        assert health.is_serving(LEDGER_STORE)
        store.is_gone = True
        following = asyncio.create_task(watch.follow(0.001))
        while health.is_serving(LEDGER_STORE):
            await asyncio.sleep(0)
        store.is_gone = False
        while not health.is_serving(LEDGER_STORE):
            await asyncio.sleep(0)
        following.cancel()
    assert store.probes >= 3
