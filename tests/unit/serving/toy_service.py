"""A service that echoes, on the shell that all services have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from queen.api.v1 import perturber_pb2, perturber_pb2_grpc
from queen.errors import InvalidQuery
from queen.serving.settings import ServiceSettings
from queen.serving.shell import Offer, Shell

NAME = "queen.api.v1.PerturberService"


class ToySettings(ServiceSettings):
    """Settings of a toy."""

    model_config = SettingsConfigDict(env_prefix="QUEEN_TOY_")

    port: int = Field(default=0, ge=0, le=65535)
    """Port."""
    metrics_port: int = Field(default=0, ge=-1, le=65535)
    """Metrics."""
    admin_port: int = Field(default=0, ge=0, le=65535)
    """Admin."""


class Echo(perturber_pb2_grpc.PerturberServiceServicer):
    """Answers with the request's probabilities; some digests make it fail or wait."""

    def __init__(self) -> None:
        self.is_waiting, self.may_answer = asyncio.Event(), asyncio.Event()
        self.slow_asked = 0

    async def Reverse(  # noqa: N802
        self, request: perturber_pb2.ReverseRequest, _context: Any
    ) -> perturber_pb2.ReverseResponse:
        """Echo."""
        if request.bundle_digest == "bug":
            raise RuntimeError("the secret path /etc/queen")
        if request.bundle_digest == "bad":
            raise InvalidQuery("expected good, got bad", field="bundle_digest")
        if request.bundle_digest == "slow":
            self.slow_asked += 1
            self.is_waiting.set()
            await self.may_answer.wait()
        return perturber_pb2.ReverseResponse(probabilities=request.probabilities)


@asynccontextmanager
async def wire(
    _settings: ToySettings, _shell: Shell, echo: Echo | None = None
) -> AsyncIterator[Sequence[Offer]]:
    """A service that echoes."""
    add = perturber_pb2_grpc.add_PerturberServiceServicer_to_server
    yield [Offer(NAME, partial(add, echo or Echo()))]


def toy(tmp_path: Path, **settings: Any) -> ToySettings:
    """Settings on free ports."""
    return ToySettings(bundle=tmp_path, drain_seconds=2.0, **settings)
