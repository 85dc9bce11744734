"""Replicas of one service: the endpoints behind a target, each with a channel and a probe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from queen.serving.lasting.tasks import Lasting
from queen.serving.logging import logger
from queen_inference.peers.endpoints import TargetPart
from queen_inference.peers.peer import Peer
from queen_inference.peers.rendezvous import Rendezvous

RETIRED_SECONDS = 5.0
"""Calls in flight to an endpoint that has left get this long to end."""


C = TypeVar("C")


@dataclass(frozen=True, eq=False)
class Replica(Generic[C]):
    """An endpoint of the service: its channel, and the client on it."""

    peer: Peer
    client: C


Open = Callable[[str, bool], Replica[C]]
"""Opens a replica at an endpoint; the second argument says whether its channel repeats calls."""


class Replicas(Generic[C]):
    """Keeps a replica for each endpoint that the parts of a target resolve to.

    The endpoints change with resolutions, `up` with probes and calls. A part that cannot be
    resolved keeps the endpoints that it had.
    """

    def __init__(
        self,
        service: str,
        parts: Sequence[TargetPart],
        open_replica: Open[C],
        resolve_seconds: float,
        lasting: Lasting,
    ) -> None:
        self.service = service
        self.members: dict[str, Replica[C]] = {}
        self.rendezvous = Rendezvous(())
        self._places = parts
        self._open_replica = open_replica
        self._seconds = resolve_seconds
        self._lasting = lasting
        self._resolved: dict[TargetPart, list[str]] = {}
        self._unresolved: set[TargetPart] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._log = logger("peer").bind(peer=service)

    @property
    def up(self) -> dict[str, Replica[C]]:
        """The replicas that served when they were last heard of, by endpoint."""
        return {at: replica for at, replica in self.members.items() if replica.peer.is_up}

    @property
    def is_up(self) -> bool:
        """Whether at least one replica serves."""
        return any(replica.peer.is_up for replica in self.members.values())

    @property
    def problem(self) -> str:
        """Words for what the last probes met, by endpoint."""
        words = [f"{at}: {replica.peer.problem}" for at, replica in self.members.items()]
        return "; ".join(words) or "its name resolves to no endpoint"

    async def start(self) -> None:
        """Resolve, waiting for it no longer than `resolve_seconds`, and follow the names."""
        first = {part: self._spawn(self._resolve(part)) for part in self._places}
        await asyncio.wait(first.values(), timeout=self._seconds)
        self._renew()
        for part, resolving in first.items():
            if part.is_name:
                follow = self._follow(part, resolving)
                self._keep(self._lasting.start(f"look-up of {self.service}", follow))

    async def probe(self, timeout_seconds: float) -> bool:
        """Probe all replicas at once; whether at least one serves."""
        await self._probe(list(self.members.values()), timeout_seconds)
        return self.is_up

    async def close(self) -> None:
        """Stop following the names, and close all channels."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for replica in self.members.values():
            await replica.peer.close()

    async def _follow(self, part: TargetPart, resolving: asyncio.Task[None]) -> None:
        await resolving
        while True:
            self._renew()
            await asyncio.sleep(self._seconds)
            await self._resolve(part)

    async def _resolve(self, part: TargetPart) -> None:
        try:
            self._resolved[part] = await part.resolve()
        # An invalid name, with an empty label for instance, is a UnicodeError.
        except (OSError, UnicodeError) as error:
            if part not in self._unresolved:
                self._unresolved.add(part)
                self._log.warning("name does not resolve", name=part.text, problem=str(error))
        else:
            self._unresolved.discard(part)

    def _renew(self) -> None:
        """Open a replica at each new endpoint, and retire those whose endpoint has left."""
        wanted = {endpoint for resolved in self._resolved.values() for endpoint in resolved}
        if wanted == self.members.keys():
            return
        fresh = sorted(wanted - self.members.keys())
        for endpoint in self.members.keys() - wanted:
            self._spawn(_retire(self.members.pop(endpoint)))
        for endpoint in fresh:
            # With other endpoints a failed call is not repeated here: its rows go to the next one.
            self.members[endpoint] = self._open_replica(endpoint, len(wanted) == 1)
        self.rendezvous = Rendezvous(self.members)
        self._log.info("endpoints", known=list(self.rendezvous.endpoints))
        self._spawn(self._probe([self.members[endpoint] for endpoint in fresh], self._seconds))

    async def _probe(self, replicas: Sequence[Replica[C]], timeout_seconds: float) -> None:
        await asyncio.gather(*(replica.peer.probe(timeout_seconds) for replica in replicas))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._keep(asyncio.create_task(work))

    def _keep(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        # The event loop itself keeps no strong reference to a task.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _retire(replica: Replica[Any]) -> None:
    """Close an endpoint's channel once calls in flight have had their time to end."""
    try:
        await asyncio.sleep(RETIRED_SECONDS)
    finally:
        await replica.peer.close()
