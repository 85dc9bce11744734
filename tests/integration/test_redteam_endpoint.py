"""A thief's view of a served bundle: accounts, batches, refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from queen.api.oip import open_inference_pb2 as oip
from queen.api.oip import open_inference_pb2_grpc
from queen.errors import ConfigError, OutOfRange, OverBudget, QueenError
from queen.oip_client import OipClient
from queen.redteam.attacks.base import ask_spread
from queen.redteam.targets.base import MeteredTarget
from queen.redteam.targets.endpoint import ATTEMPTS, EndpointTarget
from queen.serving.status import DETAILS_KEY, refuse
from tests.bundles import SmallBundle, make_bundle
from tests.integration.inference.door import open_door, write_accounts

KEYS = ["key-of-alice", "key-of-bob"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle."""
    return make_bundle(Path(tmp_path_factory.mktemp("bundle")) / "b")


async def test_answers_are_those_of_the_client(small: SmallBundle, tmp_path: Path):
    """In batches of 16, over two accounts, a thief gets the bytes that the client gets."""
    accounts = write_accounts(tmp_path, alice="profile: observe", bob="profile: observe")
    async with open_door(small, accounts) as door:
        address = door.process.addresses["address"]
        expected, answers = await asyncio.to_thread(_ask_both_ways, address, small.inputs[:50])
    assert answers.dtype == np.float32
    assert answers.tobytes() == expected.tobytes()


async def test_more_accounts_than_keys_are_refused(small: SmallBundle, tmp_path: Path):
    """The third name has no key; a name that was opened before is the same account."""
    async with open_door(small, write_accounts(tmp_path, alice="", bob="")) as door:
        address = door.process.addresses["address"]
        with await asyncio.to_thread(EndpointTarget, address, KEYS) as target:
            assert target.num_classes == 4
            first, second = target.open_account("one"), target.open_account("two")
            assert target.open_account("one") is first is not second
            with pytest.raises(ConfigError, match=r"at most 2 accounts.*got 3"):
                target.open_account("three")


async def test_each_account_has_a_key_of_its_own(small: SmallBundle, tmp_path: Path):
    """The second name is refused where the second key is not known, the first is answered."""
    async with open_door(small, write_accounts(tmp_path, alice="")) as door:
        address = door.process.addresses["address"]
        with await asyncio.to_thread(EndpointTarget, address, KEYS) as target:
            first, second = target.open_account("one"), target.open_account("two")
            assert (await asyncio.to_thread(first.ask, small.inputs[:3])).shape == (3, 4)
            with pytest.raises(grpc.RpcError) as caught:
                await asyncio.to_thread(second.ask, small.inputs[:3])
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_refused_batch_is_sent_again():
    """Two refusals for want of room, then the answer."""
    waits: list[float] = []
    with (
        _crowded(refusals=2) as (address, crowd),
        EndpointTarget(address, ["k"], sleep=waits.append) as target,
    ):
        answers = target.open_account("one").ask(np.zeros((5, 8), np.float32))
    assert answers.tolist() == [[0.25, 0.75]] * 5
    assert crowd.asked == 3
    assert waits == [0.1, 0.2]


def test_a_server_that_stays_full_is_an_error():
    """After eight attempts the refusal is the caller's."""
    waits: list[float] = []
    with (
        _crowded(refusals=99) as (address, crowd),
        EndpointTarget(address, ["k"], sleep=waits.append) as target,
    ):
        with pytest.raises(grpc.RpcError) as caught:
            target.open_account("one").ask(np.zeros((5, 8), np.float32))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert crowd.asked == ATTEMPTS
    assert max(waits) == 2


@pytest.mark.parametrize("error", [OverBudget("over its budget"), OutOfRange("beyond")])
def test_a_batch_with_a_refused_query_is_asked_again_in_halves(error: QueenError):
    """No wait helps: the thief gets the answers that are left, row by row if need be."""
    waits: list[float] = []
    rows = np.arange(5, dtype=np.float32)[:, None] * np.ones(8, np.float32)
    with (
        _crowded(refusals=0) as (address, crowd),
        EndpointTarget(address, ["k"], num_classes=2, sleep=waits.append) as target,
    ):
        crowd.refused, crowd.error = {3}, error
        answers = target.open_account("one").ask(rows)
        late = target.open_account("one").ask_within(rows, 5.0)
    assert np.isnan(answers).all(axis=1).tolist() == [False, False, False, True, False]
    assert np.array_equal(answers[:3], np.tile(np.float32([0.25, 0.75]), (3, 1)))
    assert waits == []
    assert late is None


def test_classes_that_a_server_does_not_name_are_asked_for():
    """Without class names the number of classes has to be said."""
    with _crowded(refusals=0) as (address, _):
        with EndpointTarget(address, ["k"]) as target, pytest.raises(ConfigError, match="names"):
            _ = target.num_classes
        with EndpointTarget(address, ["k"], num_classes=2) as target:
            assert ask_spread(target, np.zeros((3, 8), np.float32), 1).shape == (3, 2)


def test_no_key_is_no_target():
    """Without a key nothing is asked."""
    with pytest.raises(ConfigError, match="at least 1 API key"):
        EndpointTarget("127.0.0.1:1", [])


def _ask_both_ways(address: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with OipClient(address, KEYS[0]) as client:
        expected = client.infer(client.describe(""), rows)
    with EndpointTarget(address, KEYS, batch=16) as target:
        return expected, ask_spread(MeteredTarget(target, len(rows)), rows, 2)


class Crowd(open_inference_pb2_grpc.GRPCInferenceServiceServicer):
    """A server of two nameless classes that has no room for the first requests."""

    def __init__(self, refusals: int) -> None:
        self.asked, self.refusals = 0, refusals
        self.refused: set[float] = set()
        """First numbers of the rows that are refused for good, with the error."""
        self.error: QueenError = OverBudget("over its budget")

    def ModelMetadata(self, _request: Any, _context: Any) -> oip.ModelMetadataResponse:  # noqa: N802
        """A model of one input."""
        answer = oip.ModelMetadataResponse(name="crowd")
        answer.inputs.add(name="x", datatype="FP32", shape=[-1, 8])
        return answer

    def ModelInfer(  # noqa: N802
        self, request: oip.ModelInferRequest, context: grpc.ServicerContext
    ) -> oip.ModelInferResponse:
        """A refusal, or the same answer for every row."""
        self.asked += 1
        if self.asked <= self.refusals:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no room")
        rows = np.frombuffer(request.raw_input_contents[0], np.float32).reshape(-1, 8)
        if self.refused & set(rows[:, 0].tolist()):
            refusal = refuse(self.error)
            context.set_trailing_metadata(((DETAILS_KEY, refusal.details),))
            context.abort(refusal.code, refusal.message)
        count = len(rows)
        answer = oip.ModelInferResponse(model_name="crowd")
        answer.outputs.add(name="probabilities", datatype="FP32", shape=[count, 2])
        answer.raw_output_contents.append(np.tile(np.float32([0.25, 0.75]), count).tobytes())
        return answer


@contextmanager
def _crowded(refusals: int) -> Iterator[tuple[str, Crowd]]:
    crowd, server = Crowd(refusals), grpc.server(ThreadPoolExecutor(2))
    open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(crowd, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", crowd
    finally:
        server.stop(None).wait()
