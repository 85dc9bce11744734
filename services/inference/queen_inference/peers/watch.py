"""Probes the peers for as long as the front door serves, and publishes which of them serve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from prometheus_client import Gauge

from queen.errors import DependencyUnavailable
from queen.serving.health import Health
from queen.serving.lasting.tasks import Lasting
from queen_inference.peers.peer import Probed


class PeerWatch:
    """Publishes the state of peers: as metrics, and as health names.

    `peers` and `up`, their gauges, are by the same names. The service `gated`, if one is named,
    is ready only while all peers serve.
    """

    def __init__(
        self,
        peers: Mapping[str, Probed],
        up: Mapping[str, Gauge],
        health: Health,
        gated: str | None = None,
    ) -> None:
        self._peers = peers
        self._up = up
        self._health = health
        self._gated = gated

    @asynccontextmanager
    async def running(self, seconds: float, lasting: Lasting) -> AsyncIterator[None]:
        """Probe every peer before the block, and then every `seconds` until the block ends."""
        async with AsyncExitStack() as stack:
            for name in self._peers:
                await self._probe(name, seconds)
                follow = self._follow(name, seconds)
                await stack.enter_async_context(lasting.running(f"probe of {name}", follow))
            yield

    async def reached(self, patience_seconds: float, pause_seconds: float = 0.2) -> None:
        """Wait until every peer was reached once.

        Raises DependencyUnavailable, with what the last probes met, once the patience is over.
        """
        missing = set(self._peers)
        try:
            async with asyncio.timeout(patience_seconds):
                while missing := {name for name in missing if not self._peers[name].is_up}:
                    await asyncio.sleep(pause_seconds)
        except TimeoutError:
            words = "; ".join(f"{name}: {self._peers[name].problem}" for name in sorted(missing))
            raise DependencyUnavailable(
                f"not ready after {patience_seconds:g} s, since a peer was never reached: {words}"
            ) from None

    async def _follow(self, name: str, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self._probe(name, seconds)

    async def _probe(self, name: str, timeout_seconds: float) -> None:
        peer = self._peers[name]
        await peer.probe(timeout_seconds)
        self._up[name].set(peer.is_up)
        self._health.set_serving(peer.service, serving=peer.is_up)
        if self._gated is not None:
            ready = all(other.is_up for other in self._peers.values())
            self._health.set_serving(self._gated, serving=ready)
