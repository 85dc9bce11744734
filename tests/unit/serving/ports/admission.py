"""A server that admits callers as it is told, and the outcome of a call to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from queen.api.v1 import perturber_pb2, perturber_pb2_grpc
from queen.errors import QueenError
from queen.serving.ports.credentials import channel_credentials, server_credentials
from queen.serving.ports.pem import PemFiles, read_pems
from queen.serving.status import DETAILS_KEY, reason_in, refuse

Admit = Callable[[str, Any], Any]


class Admitting(perturber_pb2_grpc.PerturberServiceServicer):
    """Answers with the hash of the caller whom `admit` lets in, as if `method` had been called."""

    def __init__(self, admit: Admit, method: str) -> None:
        self._admit = admit
        self.method = method

    async def Reverse(self, _request: Any, context: Any) -> perturber_pb2.ReverseResponse:  # noqa: N802 - gRPC's name
        """The hash, or the refusal."""
        try:
            caller = self._admit(self.method, context)
        except QueenError as error:
            refusal = refuse(error)
            trailers = ((DETAILS_KEY, refusal.details),)
            await context.abort(refusal.code, refusal.message, trailers)
        return perturber_pb2.ReverseResponse(probabilities=caller.hash.encode())


@asynccontextmanager
async def admitting(
    admit: Admit, files: PemFiles | None = None, method: str = "Reverse"
) -> AsyncIterator[str]:
    """The target of a server that admits by `admit`, over TLS with `files`."""
    server = grpc.aio.server()
    perturber_pb2_grpc.add_PerturberServiceServicer_to_server(Admitting(admit, method), server)
    target = "127.0.0.1:0"
    port = (
        server.add_insecure_port(target)
        if files is None
        else server.add_secure_port(target, server_credentials(files))
    )
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def outcome(target: str, files: PemFiles | None = None, key: str = "") -> tuple[str, str]:
    """The code and reason of a call, or OK and the caller's hash."""
    dialed = (
        grpc.aio.insecure_channel(target)
        if files is None
        else grpc.aio.secure_channel(target, channel_credentials(read_pems(files)))
    )
    metadata = [("authorization", key)] if key else []
    async with dialed as channel:
        stub = perturber_pb2_grpc.PerturberServiceStub(channel)
        try:
            answer = await stub.Reverse(
                perturber_pb2.ReverseRequest(), timeout=10, metadata=metadata
            )
        except grpc.aio.AioRpcError as error:
            return error.code().name, reason_in(error.trailing_metadata() or ())
    return "OK", answer.probabilities.decode()
