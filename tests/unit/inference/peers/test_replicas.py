"""The set of replicas follows what the names resolve to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import structlog
from queen_inference.peers import replicas as module
from queen_inference.peers.endpoints import TargetPart, read_target
from queen_inference.peers.peer import Peer
from queen_inference.peers.replicas import Replica, Replicas
from queen_inference.peers.sensitivity import SENSITIVITY, SensitivityClient

from queen.serving.lasting.tasks import Lasting

OFTEN_SECONDS = 0.02


class ChangingName(TargetPart):
    """A name that resolves to what it is told; to nothing, as a name that does not exist."""

    addresses: list[str] | None = None

    def __init__(self, *addresses: str) -> None:
        super().__init__("changing:1", "changing", 1)
        self.tell(list(addresses) or None)

    def tell(self, addresses: list[str] | None) -> None:
        """Set the addresses that the name resolves to from now on."""
        object.__setattr__(self, "addresses", addresses)

    async def resolve(self) -> list[str]:
        """Answer with the value that the test has set."""
        if self.addresses is None:
            raise OSError("no such name")
        return self.addresses


class SlowName(ChangingName):
    """A name whose server does not answer."""

    async def resolve(self) -> list[str]:
        """Never."""
        await asyncio.Event().wait()
        return []


@asynccontextmanager
async def following(*parts: TargetPart) -> AsyncIterator[tuple[Replicas, dict[str, bool]]]:
    """Replicas at ports without a server, and whether the channel of each repeats calls."""
    retries: dict[str, bool] = {}

    def open_replica(endpoint: str, repeats: bool) -> Replica:
        retries[endpoint] = repeats
        peer = Peer(endpoint, SENSITIVITY, 1 << 20, retries=repeats)
        return Replica(peer, SensitivityClient(peer, "digest"))

    replicas = Replicas(SENSITIVITY, parts, open_replica, OFTEN_SECONDS, Lasting())
    await replicas.start()
    yield replicas, retries
    await replicas.close()


async def eventually(claim: Callable[[], bool]) -> None:
    """Wait until a claim holds."""
    async with asyncio.timeout(10):
        while not claim():
            await asyncio.sleep(OFTEN_SECONDS)


async def test_endpoints_come_and_go_with_the_name() -> None:
    """The ranking is that of the endpoints there are, and one that stays keeps its channel."""
    name = ChangingName("127.0.0.1:1", "127.0.0.1:2")
    async with following(name) as (replicas, _):
        assert replicas.rendezvous.endpoints == ("127.0.0.1:1", "127.0.0.1:2")
        kept = replicas.members["127.0.0.1:2"]
        name.tell(["127.0.0.1:2", "127.0.0.1:3"])
        await eventually(lambda: "127.0.0.1:3" in replicas.members)
        assert replicas.rendezvous.endpoints == ("127.0.0.1:2", "127.0.0.1:3")
        assert set(replicas.members) == {"127.0.0.1:2", "127.0.0.1:3"}
        assert replicas.members["127.0.0.1:2"] is kept


async def test_a_failed_resolution_keeps_what_was_there() -> None:
    """It is told once, and the name is followed on."""
    name = ChangingName("127.0.0.1:1")
    with structlog.testing.capture_logs() as lines:
        async with following(name) as (replicas, _):
            name.tell(None)
            await asyncio.sleep(5 * OFTEN_SECONDS)
            assert set(replicas.members) == {"127.0.0.1:1"}
            name.tell(["127.0.0.1:2"])
            await eventually(lambda: set(replicas.members) == {"127.0.0.1:2"})
    assert [line["event"] for line in lines].count("name does not resolve") == 1


async def test_a_name_that_hangs_holds_up_nothing_else() -> None:
    """Start goes on without it, and the other name is followed."""
    name = ChangingName("127.0.0.1:1")
    async with asyncio.timeout(10), following(SlowName(), name) as (replicas, _):
        assert set(replicas.members) == {"127.0.0.1:1"}
        name.tell(["127.0.0.1:2"])
        await eventually(lambda: set(replicas.members) == {"127.0.0.1:2"})


async def test_without_any_endpoint_nothing_is_up() -> None:
    """A name that never resolved is a peer that is out of reach."""
    async with following(ChangingName()) as (replicas, _):
        assert not await replicas.probe(1.0)
        assert replicas.members == {}


async def test_only_a_lone_endpoint_repeats_calls_by_itself() -> None:
    """Among several, the rows go to the next one instead."""
    async with following(ChangingName("127.0.0.1:1")) as (_, retries):
        assert retries == {"127.0.0.1:1": True}
    several = {"127.0.0.1:1": False, "127.0.0.1:2": False}
    async with following(ChangingName("127.0.0.1:1", "127.0.0.1:2")) as (_, retries):
        assert retries == several
    async with following(*read_target("127.0.0.1:1,127.0.0.1:2")) as (_, retries):
        assert retries == several


async def test_an_endpoint_that_left_is_closed_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls in flight to it get their time first; at the end nothing is left open."""
    closed: list[Peer] = []
    close = Peer.close

    async def noting(self: Peer) -> None:
        closed.append(self)
        await close(self)

    monkeypatch.setattr(Peer, "close", noting)
    monkeypatch.setattr(module, "RETIRED_SECONDS", 0.3)
    name = ChangingName("127.0.0.1:1", "127.0.0.1:2")
    async with following(name) as (replicas, _):
        gone, stays = (replicas.members[f"127.0.0.1:{port}"].peer for port in (1, 2))
        name.tell(["127.0.0.1:2"])
        await eventually(lambda: len(replicas.members) == 1)
        assert closed == []
        await eventually(lambda: closed == [gone])
    assert closed == [gone, stays]
