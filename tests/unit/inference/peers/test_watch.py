"""Probing the peers, and publishing what is heard of them."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import Gauge
from queen_inference.metrics import InferenceMetrics
from queen_inference.peers.watch import PeerWatch

from queen.serving.health import Health
from queen.serving.lasting.tasks import Lasting
from tests.unit.inference.conftest import Counted

OFTEN_SECONDS = 0.001
NEVER_SECONDS = 3600.0
DOOR = "door"


class Told:
    """A peer that is as it is told."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.tells = True
        self.is_up = False
        self.probed = asyncio.Event()

    async def probe(self, timeout_seconds: float) -> bool:  # noqa: ARG002 - it answers at once
        """As told."""
        self.is_up = self.tells
        self.probed.set()
        return self.is_up

    async def close(self) -> None:
        """There is nothing to close."""


@pytest.fixture
def peers() -> dict[str, Told]:
    """Two peers, by the names of their gauges."""
    return {name: Told(f"queen.{name}") for name in ("sensitivity", "perturber")}


def states(peers: dict[str, Told], health: Health, counted: Counted) -> list[tuple[float, bool]]:
    """The gauge and the health of each."""
    return [
        (counted("queen_dependency_up", dependency=name), health.is_serving(peer.service))
        for name, peer in peers.items()
    ]


async def test_peers_are_known_before_the_door_opens(
    peers: dict[str, Told], metrics: InferenceMetrics, counted: Counted
) -> None:
    """Both as metrics and as health names; without a gate the door's own name is left alone."""
    health, up = Health(), metrics.dependency_up
    peers["perturber"].tells = False
    async with PeerWatch(peers, up, health).running(NEVER_SECONDS, Lasting()):
        assert states(peers, health, counted) == [(1, True), (0, False)]
        assert not health.is_serving(DOOR)


async def test_a_gated_service_follows_all_peers(
    peers: dict[str, Told], metrics: InferenceMetrics
) -> None:
    """It is ready only while each of them serves, and nothing is probed once the watch ends."""
    health, perturber = Health(), peers["perturber"]
    up: dict[str, Gauge] = metrics.dependency_up
    async with PeerWatch(peers, up, health, gated=DOOR).running(OFTEN_SECONDS, Lasting()):
        for tells in (False, True):
            perturber.tells = tells
            async with asyncio.timeout(10):
                while health.is_serving(DOOR) is not tells:
                    perturber.probed.clear()
                    await perturber.probed.wait()
                    await asyncio.sleep(0)
    perturber.probed.clear()
    await asyncio.sleep(10 * OFTEN_SECONDS)
    assert not perturber.probed.is_set()
