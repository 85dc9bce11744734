"""TLS between a real server and real channels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from queen.serving.ports.credentials import channel_credentials, server_credentials
from queen.serving.ports.pem import PemFiles, read_pems
from tests.certificates import LOOPBACK, Authority, replace_pair


@asynccontextmanager
async def serving(files: PemFiles) -> AsyncIterator[int]:
    """The port of a server with these files."""
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    await servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_secure_port("127.0.0.1:0", server_credentials(files))
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


def dial(port: int, files: PemFiles) -> grpc.aio.Channel:
    """A new connection: channels with credentials of their own share none."""
    return grpc.aio.secure_channel(f"127.0.0.1:{port}", channel_credentials(read_pems(files)))


async def code(port: int, files: PemFiles) -> grpc.StatusCode:
    """The status of a call over a new connection."""
    async with dial(port, files) as channel:
        return await code_on(channel)


async def code_on(channel: grpc.aio.Channel) -> grpc.StatusCode:
    """The status of a call."""
    try:
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_a_caller_without_a_good_certificate_does_not_get_in(
    authority: Authority, foreign: Authority
) -> None:
    """None, an expired one and one of another authority end the handshake: UNAVAILABLE."""
    mine = authority.issue("server", *LOOPBACK)
    good = authority.issue("door", "DNS:door")
    expired = authority.issue("late", "DNS:door", days=-1)
    strange = replace(foreign.issue("strange", "DNS:door"), authorities=authority.trusted)
    anonymous = PemFiles(authorities=authority.trusted)

    async def scenario() -> None:
        async with serving(mine) as port:
            assert await code(port, good) is grpc.StatusCode.OK
            for other in (anonymous, expired, strange):
                assert await code(port, other) is grpc.StatusCode.UNAVAILABLE
        async with serving(replace(mine, authorities=None)) as port:
            assert await code(port, anonymous) is grpc.StatusCode.OK

    asyncio.run(scenario())


def test_a_channel_refuses_a_server_that_is_another(
    authority: Authority, foreign: Authority
) -> None:
    """A server of another authority, of another name or with an expired certificate."""
    trusting = PemFiles(authorities=authority.trusted)
    others = (
        foreign.issue("server", *LOOPBACK),
        authority.issue("elsewhere", "IP:127.0.0.9"),
        authority.issue("old", *LOOPBACK, days=-1),
    )

    async def scenario() -> None:
        for other in others:
            async with serving(replace(other, authorities=None)) as port:
                assert await code(port, trusting) is grpc.StatusCode.UNAVAILABLE

    asyncio.run(scenario())


def test_renewed_files_are_in_force_with_the_next_connection(
    authority: Authority, foreign: Authority
) -> None:
    """Connections that exist keep working, and a pair that does not fit changes nothing."""
    mine = authority.issue("renewed", *LOOPBACK)
    good = authority.issue("door", "DNS:door")
    stranger = replace(foreign.issue("stranger", "DNS:door"), authorities=foreign.trusted)

    async def scenario() -> None:
        async with serving(mine) as port, dial(port, good) as before:
            assert await code_on(before) is grpc.StatusCode.OK
            replace_pair(mine, foreign.issue("fresh", *LOOPBACK))
            assert await code_on(before) is grpc.StatusCode.OK
            assert await code(port, good) is grpc.StatusCode.UNAVAILABLE
            fresh = replace(good, authorities=foreign.trusted)
            assert await code(port, fresh) is grpc.StatusCode.OK
            # Half of a renewal: the key of another certificate.
            assert mine.key is not None
            mine.key.write_bytes(authority.issue("half", *LOOPBACK).key.read_bytes())  # type: ignore[union-attr]
            assert await code(port, fresh) is grpc.StatusCode.OK
            assert await code(port, stranger) is grpc.StatusCode.UNAVAILABLE

    asyncio.run(scenario())


def test_the_authorities_of_callers_are_followed_too(
    authority: Authority, foreign: Authority, tmp_path: Path
) -> None:
    """An authority that is taken out of the file opens no connection any more."""
    trusted = tmp_path / "trusted.crt"
    trusted.write_bytes(authority.trusted.read_bytes() + foreign.trusted.read_bytes())
    mine = replace(authority.issue("server", *LOOPBACK), authorities=trusted)
    guest = replace(foreign.issue("guest", "DNS:guest"), authorities=authority.trusted)
    good = authority.issue("door", "DNS:door")

    async def scenario() -> None:
        async with serving(mine) as port:
            assert await code(port, guest) is grpc.StatusCode.OK
            trusted.write_bytes(authority.trusted.read_bytes())
            assert await code(port, guest) is grpc.StatusCode.UNAVAILABLE
            assert await code(port, good) is grpc.StatusCode.OK

    asyncio.run(scenario())
