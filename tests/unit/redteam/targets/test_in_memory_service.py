"""A service called without a network."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest
from queen_sensitivity.settings import SensitivitySettings
from queen_sensitivity.wiring import open_service as open_sensitivity

from queen.api.v1 import sensitivity_pb2 as pb
from queen.api.v1 import sensitivity_pb2_grpc
from queen.bundle import open_bundle
from queen.errors import BundleMismatch
from queen.redteam.targets.in_memory_service import open_in_memory
from queen.wire import tensor_bytes
from tests.bundles import make_bundle


def request_of(digest: str, rows: int) -> pb.AssessRequest:
    """So many queries of one account at the origin."""
    return pb.AssessRequest(
        bundle_digest=digest,
        accounts=[pb.AccountPolicy(account_id="a")],
        account_index=tensor_bytes(np.zeros(rows), "<u4"),
        labels=tensor_bytes(np.zeros(rows), "<i4"),
        embeddings=tensor_bytes(np.zeros((rows, 2), np.float32)),
    )


async def test_a_stub_reaches_the_servicer(tmp_path: Path) -> None:
    """The response is the servicer's, by a stub alone or by a client's call with a timeout."""
    digest = open_bundle(make_bundle(tmp_path / "bundle").path).digest
    settings = SensitivitySettings(bundle=tmp_path / "bundle", state="memory", budget=5)
    async with AsyncExitStack() as stack:
        service = await open_in_memory(stack, open_sensitivity, settings)
        stub = sensitivity_pb2_grpc.SensitivityServiceStub(service.channel)
        response = await stub.Assess(request_of(digest, 3))
        assert len(response.verdicts) == 3
        response = await service.call(stub.Assess, request_of(digest, 2), 0.0)
        assert len(response.verdicts) == 2


async def test_an_error_of_the_servicer_arrives_as_it_is(tmp_path: Path) -> None:
    """Not as a status that a failure mode would hide."""
    make_bundle(tmp_path / "bundle")
    settings = SensitivitySettings(bundle=tmp_path / "bundle", state="memory", budget=5)
    async with AsyncExitStack() as stack:
        service = await open_in_memory(stack, open_sensitivity, settings)
        stub = sensitivity_pb2_grpc.SensitivityServiceStub(service)
        with pytest.raises(BundleMismatch):
            await stub.Assess(request_of("another", 1))
