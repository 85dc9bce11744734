"""Probing the peers, and publishing what is heard of them."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import Gauge
from queen_inference.metrics import InferenceMetrics
from queen_inference.peers.watch import PeerWatch

from queen.errors import DependencyUnavailable
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
        self.problem = f"{service} is told to be away"
        self.probed = asyncio.Event()

    async def probe(self, timeout_seconds: float) -> bool:  # noqa: ARG002 - it answers at once
        """Answer with the value that the test has set."""
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


async def test_a_start_waits_until_each_peer_was_reached_once(
    peers: dict[str, Told], metrics: InferenceMetrics
) -> None:
    """They need not serve at the same time: it is enough that there is a way to each."""
    watch = PeerWatch(peers, metrics.dependency_up, Health())
    peers["sensitivity"].is_up = True
    waiting = asyncio.create_task(watch.reached(60.0, OFTEN_SECONDS))
    while not peers["perturber"].is_up:
        await asyncio.sleep(0)
        assert not waiting.done()
        peers["sensitivity"].is_up, peers["perturber"].is_up = False, True
    await waiting


async def test_a_peer_that_was_never_reached_is_named_with_its_problem(
    peers: dict[str, Told], metrics: InferenceMetrics
) -> None:
    """And the peers that were reached are not."""
    watch = PeerWatch(peers, metrics.dependency_up, Health())
    peers["sensitivity"].is_up = True
    with pytest.raises(
        DependencyUnavailable, match=r"perturber: queen\.perturber is told"
    ) as raised:
        await watch.reached(0.01, OFTEN_SECONDS)
    assert "sensitivity" not in str(raised.value)
