"""The identity of a service: its bundle and its secrets, told to the service that probes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from queen.api.v1 import identity_pb2 as pb
from queen.api.v1 import identity_pb2_grpc
from queen.serving.shell import Offer

IDENTITY = pb.DESCRIPTOR.services_by_name["IdentityService"].full_name
"""Full name of the gRPC service."""


class IdentityServicer(identity_pb2_grpc.IdentityServiceServicer):
    """`queen.api.v1.IdentityService`; `secrets` gives the fingerprints that are in force."""

    def __init__(self, bundle_digest: str, secrets: Callable[[], Sequence[int]]) -> None:
        self._digest = bundle_digest
        self._secrets = secrets

    async def Identify(self, request: pb.IdentifyRequest, context: Any) -> pb.IdentifyResponse:  # noqa: ARG002, N802 - gRPC's names
        """The bundle and secrets that this process answers with, as of now."""
        return pb.IdentifyResponse(bundle_digest=self._digest, secrets=self._secrets())


def identity_offer(bundle_digest: str, secrets: Callable[[], Sequence[int]] = tuple) -> Offer:
    """The identity of a service, to be served beside it."""
    add = identity_pb2_grpc.add_IdentityServiceServicer_to_server
    return Offer(IDENTITY, partial(add, IdentityServicer(bundle_digest, secrets)))
