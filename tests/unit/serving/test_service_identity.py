"""The identity that a service tells."""

from __future__ import annotations

import grpc

from queen.api.v1 import identity_pb2 as pb
from queen.api.v1 import identity_pb2_grpc
from queen.serving.service_identity import IDENTITY, identity_offer


async def test_an_identity_is_that_of_now() -> None:
    """The bundle's digest, and the secrets in force when it is asked; none by default."""
    held = [3]
    for offer, expected in (
        (identity_offer("digest", lambda: held), [[3], [4, 3]]),
        (identity_offer("digest"), [[], []]),
    ):
        assert (offer.name, offer.on) == (IDENTITY, "main")
        server = grpc.aio.server()
        offer.add(server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        told = []
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = identity_pb2_grpc.IdentityServiceStub(channel)
            for secrets in ([3], [4, 3]):
                held[:] = secrets
                response = await stub.Identify(pb.IdentifyRequest(), timeout=10)
                assert response.bundle_digest == "digest"
                told.append(list(response.secrets))
        await server.stop(None)
        assert told == expected
