"""Deadlines of callers and limits of peers: neither lets a caller choose what is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from queen_sensitivity.settings import SensitivitySettings

from queen.api.v1 import sensitivity_pb2, sensitivity_pb2_grpc
from queen.errors import DependencyUnavailable, Overloaded
from queen.serving.server import running
from queen.serving.service_identity import identity_offer
from queen.serving.shell import Offer, Shell
from tests.bundles import SmallBundle, make_bundle
from tests.integration.inference.door import open_door, raw_request, write_accounts
from tests.service_process import running_service
from tests.waiting import until

CODE = grpc.StatusCode
SENSITIVITY = "queen.api.v1.SensitivityService"
PERTURBER = "queen.api.v1.PerturberService"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle."""
    return make_bundle(Path(tmp_path_factory.mktemp("bundle")) / "b", samples=800)


class SlowSensitivity(sensitivity_pb2_grpc.SensitivityServiceServicer):
    """Hangs instead of giving a verdict; or refuses at once."""

    def __init__(self, seconds: float, refusal: Exception | None) -> None:
        self._seconds = seconds
        self._refusal = refusal
        self.begun = self.ended = 0

    async def Assess(  # noqa: N802 - gRPC's names
        self, _request: sensitivity_pb2.AssessRequest, _context: Any
    ) -> sensitivity_pb2.AssessResponse:
        """Hang, and count the callers that waited to the end."""
        self.begun += 1
        if self._refusal is not None:
            raise self._refusal
        await asyncio.sleep(self._seconds)
        self.ended += 1
        return sensitivity_pb2.AssessResponse()


@asynccontextmanager
async def hanging_peer(
    small: SmallBundle, seconds: float = 30.0, refusal: Exception | None = None
) -> AsyncIterator[tuple[str, SlowSensitivity]]:
    """A sensitivity service that is healthy and too slow, or refuses; its target, and itself."""
    servicer = SlowSensitivity(seconds, refusal)

    @asynccontextmanager
    async def wire(settings: SensitivitySettings, shell: Shell) -> AsyncIterator[Sequence[Offer]]:
        add = sensitivity_pb2_grpc.add_SensitivityServiceServicer_to_server
        yield [Offer(SENSITIVITY, partial(add, servicer)), identity_offer(small.manifest.digest)]

    settings = SensitivitySettings(
        bundle=small.path, state="memory", port=0, metrics_port=-1, admin_port=0, drain_seconds=0
    )
    async with running(settings, wire) as process:
        yield process.addresses["address"], servicer


async def test_a_slow_peer_costs_no_more_than_its_share(small: SmallBundle, tmp_path: Path) -> None:
    """A verdict that is late is no verdict: the answer is label-only, well within the deadline."""
    accounts = write_accounts(tmp_path, alice="")
    async with (
        hanging_peer(small) as (target, _peer),
        open_door(small, accounts, sensitivity_target=target, assess_timeout_seconds=20.0) as door,
    ):
        response = await door.client.send(raw_request(small.inputs[:1]), timeout=0.5)
        answer = np.frombuffer(response.raw_output_contents[0], "<f4")
        assert answer.max() == np.float32(0.9)
        assert door.metric("queen_failure_mode_total", mode="protect") == 1


async def test_an_impatient_caller_beside_a_patient_one_is_answered_in_time(
    small: SmallBundle, tmp_path: Path
) -> None:
    """The peer is given the patient caller's time, and the other is answered before its own end.

    The first request holds the only slot, so that the two others share a micro-batch.
    """
    accounts = write_accounts(tmp_path, alice="")
    request = raw_request(small.inputs[:1])
    # The way to the server and back is part of a caller's time, and long on a busy machine.
    settings = {"assess_timeout_seconds": 2.0, "deadline_margin_seconds": 0.5}
    async with (
        hanging_peer(small) as (target, _peer),
        open_door(small, accounts, sensitivity_target=target, **settings) as door,
    ):
        first = asyncio.create_task(door.client.send(request, timeout=30))
        await until(lambda: door.metric("queen_batch_rows_count") > 0)
        patient = asyncio.create_task(door.client.send(request, timeout=30))
        hurried = await door.client.send(request, timeout=3.3)
        assert first.done()
        assert not patient.done()
        answer = np.frombuffer(hurried.raw_output_contents[0], "<f4")
        assert answer.max() == np.float32(0.9)
        await patient
        assert door.metric("queen_failure_mode_total", mode="protect") == 3


async def test_too_much_at_once_is_refused_with_a_delay(small: SmallBundle, tmp_path: Path) -> None:
    """Beyond the queue's bound requests are RESOURCE_EXHAUSTED, and the rest are answered."""
    settings = {"max_request_rows": 64, "account_rows": 64, "queue_rows": 64}
    settings |= {"assess_timeout_seconds": 0.3}
    accounts = write_accounts(tmp_path, alice="")
    async with (
        hanging_peer(small) as (target, _peer),
        open_door(small, accounts, sensitivity_target=target, **settings) as door,
    ):
        results = await asyncio.gather(
            *(door.client.ask(small.inputs[:40]) for _ in range(30)), return_exceptions=True
        )
        refused = [result for result in results if isinstance(result, grpc.aio.AioRpcError)]
        assert 0 < len(refused) < 30
        assert {error.code() for error in refused} == {CODE.RESOURCE_EXHAUSTED}
        assert len(await door.client.ask(small.inputs[:40])) == 40


async def test_a_hurried_caller_gets_no_answer_and_the_peer_its_time(
    small: SmallBundle, tmp_path: Path
) -> None:
    """Sooner than the patience a deadline ends without a label; what was asked is still assessed.

    An account under observe needs no verdict, and gets its answer.
    """
    accounts = write_accounts(tmp_path, alice="", observer="profile: observe")
    request = raw_request(small.inputs[:1])
    settings = {"assess_patience_seconds": 15.0, "assess_timeout_seconds": 20.0}
    settings |= {"deadline_margin_seconds": 0.7}
    async with (
        hanging_peer(small, 1.5) as (target, peer),
        open_door(small, accounts, sensitivity_target=target, **settings) as door,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.client.send(request, timeout=1.2)
        assert caught.value.code() is CODE.DEADLINE_EXCEEDED
        assert "give it more time" in (caught.value.details() or "")
        assert door.metric("queen_failure_mode_total", mode="protect") == 0
        assert door.metric("queen_dropped_requests_total", reason="hurried") == 1
        await until(lambda: peer.ended > 0)
        observed = await door.client.send(request, "observer", timeout=1.2)
        answer = np.frombuffer(observed.raw_output_contents[0], "<f4")
        assert answer.max() != np.float32(0.9)


async def test_a_full_peer_is_an_overload_and_no_failure(
    small: SmallBundle, tmp_path: Path
) -> None:
    """Callers can fill a peer: they are told to come back, and get no label for it."""
    accounts = write_accounts(tmp_path, alice="", observer="profile: observe")
    async with (
        hanging_peer(small, refusal=Overloaded("full")) as (target, peer),
        open_door(small, accounts, sensitivity_target=target) as door,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.client.ask(small.inputs[:4])
        assert caught.value.code() is CODE.RESOURCE_EXHAUSTED
        assert len(await door.client.ask(small.inputs[:4], "observer")) == 4
        assert peer.begun == 2
        assert door.metric("queen_failure_mode_total", mode="protect") == 0
        assert door.metric("queen_dropped_requests_total", reason="overloaded") == 1


async def test_a_peer_without_its_store_is_still_there(small: SmallBundle, tmp_path: Path) -> None:
    """UNAVAILABLE in its own words leaves it asked: the next account may need no store."""
    accounts = write_accounts(tmp_path, alice="")
    gone = DependencyUnavailable("the ledger store does not answer")
    async with (
        hanging_peer(small, refusal=gone) as (target, peer),
        open_door(small, accounts, sensitivity_target=target, probe_seconds=60.0) as door,
    ):
        begun = [0]
        for _ in range(2):
            answers = await door.client.ask(small.inputs[:4])
            np.testing.assert_allclose(answers.max(axis=1), 0.9, rtol=1e-6)
            begun.append(peer.begun)
        assert door.metric("queen_failure_mode_total", mode="protect") == 2
        assert door.metric("queen_sensitivity_endpoints", state="up") == 1
        assert begun[2] > begun[1] > 0


async def test_no_deadline_brings_a_flagged_query_its_label(
    small: SmallBundle, tmp_path: Path
) -> None:
    """While the perturber hangs a spent account gets nothing, in a hurry or patient.

    What hangs may be what was asked, so that only a perturber that is gone brings a label.
    """
    (tmp_path / "secret").write_bytes(bytes(range(32)))
    accounts = write_accounts(tmp_path, alice="budget: 2, profile: strict")
    secret, ledgers = {"secret_file": tmp_path / "secret"}, {"state": "memory", "admin_port": 0}
    with (
        running_service("perturber", tmp_path, bundle=small.path, **secret) as perturber,
        running_service("sensitivity", tmp_path, bundle=small.path, **ledgers) as sensitivity,
    ):
        async with open_door(
            small,
            accounts,
            sensitivity_target=sensitivity.address,
            perturber_target=perturber.address,
            assess_timeout_seconds=5.0,
            reverse_timeout_seconds=3.0,
            probe_seconds=60.0,
        ) as door:
            for start in (0, 200):
                await door.client.ask(small.inputs[start : start + 200])
            perturber.freeze()
            flagged = raw_request(small.inputs[:8])
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await door.client.send(flagged, timeout=1.5)
            assert caught.value.code() is CODE.DEADLINE_EXCEEDED
            assert door.metric("queen_failure_mode_total", mode="protect") == 0
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await door.client.send(flagged, timeout=30)
            assert caught.value.code() is CODE.RESOURCE_EXHAUSTED
            assert door.metric("queen_failure_mode_total", mode="protect") == 0
            assert door.metric("queen_dropped_requests_total", reason="hurried") == 1
            assert door.metric("queen_dropped_requests_total", reason="overloaded") == 1
