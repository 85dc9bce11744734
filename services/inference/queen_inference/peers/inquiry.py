"""An inquiry: the front door asks each peer, with every probe, what it answers with."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from queen.api.v1 import identity_pb2, identity_pb2_grpc


class Inquiry:
    """Asks a peer for its bundle, which must be the front door's, and for its secrets."""

    def __init__(self, bundle_digest: str) -> None:
        self._digest = bundle_digest
        self.secrets: Sequence[int] = ()
        """Fingerprints that the peer told last, the current one first."""

    async def ask(self, channel: grpc.aio.Channel, timeout_seconds: float) -> str:
        """Words for what keeps the peer from answering beside this process, empty if nothing does.

        Raises grpc.aio.AioRpcError if the peer does not tell.
        """
        identify = identity_pb2_grpc.IdentityServiceStub(channel).Identify
        told = await identify(identity_pb2.IdentifyRequest(), timeout=timeout_seconds)
        self.secrets = tuple(told.secrets)
        if told.bundle_digest == self._digest:
            return ""
        return f"it serves bundle {told.bundle_digest[:12]}, expected {self._digest[:12]}"
