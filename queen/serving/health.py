"""grpc.health.v1 for the process and each of its services."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from grpc_health.v1 import health
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

PROCESS = ""
"""Health name of the process."""


class Health(health.aio.HealthServicer):  # type: ignore[misc, name-defined] # no types there
    """Check and Watch over named states: "" is the process, a full service name is readiness.

    Unlike its base class, it ends the Watch streams once the server drains; otherwise they would
    delay the exit for the whole grace period.
    """

    def __init__(self) -> None:
        super().__init__()
        self._states: dict[str, bool] = {}
        self._drained = asyncio.Event()
        self.is_draining = False

    def is_serving(self, name: str) -> bool:
        """Whether `name` is set to serving and the process does not drain."""
        return self._states.get(name, False) and not self.is_draining

    async def set_serving(self, name: str, *, serving: bool) -> None:
        """Publish the state of `name`."""
        if self._states.get(name) is not serving:
            self._states[name] = serving
            state = HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
            await self.set(name, state)

    async def begin(self, names: Iterable[str]) -> None:
        """Publish SERVING for the process and for every name whose state is not set yet."""
        for name in (PROCESS, *names):
            if name not in self._states:
                await self.set_serving(name, serving=True)

    async def drain(self) -> None:
        """Publish NOT_SERVING for all names, for good."""
        self.is_draining = True
        await self.enter_graceful_shutdown()

    def end_watches(self) -> None:
        """End all Watch streams."""
        self._drained.set()

    async def Watch(self, request: HealthCheckRequest, context: Any) -> None:  # noqa: N802 - RPC
        """Stream the states of a name, until the server has drained."""
        watching = asyncio.create_task(super().Watch(request, context))
        drained = asyncio.create_task(self._drained.wait())
        try:
            await asyncio.wait({watching, drained}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watching.cancel()
            drained.cancel()
