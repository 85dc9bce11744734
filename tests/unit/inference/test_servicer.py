"""The order of the checks, and how plain values become messages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from queen_inference.door import FrontDoor, ServedModel
from queen_inference.metrics import InferenceMetrics
from queen_inference.servicer import INFERENCE, InferenceServicer, terms_of

from queen.api.oip import open_inference_pb2 as oip
from queen.bundle import Bundle
from queen.errors import InvalidQuery, ModelNotFound
from queen.method.contracts import Profile
from queen.serving.auth import Account
from queen.serving.edge.terms import admit_strangers
from queen.serving.health import Health
from queen.wire import REQUEST_MARGIN_BYTES
from tests.bundles import SmallBundle

ALICE = Account("alice", Profile.PAPER, "hash-of-alice")
Asked = tuple[np.ndarray, Sequence[str], float | None, str]


class CountingDoor(FrontDoor):
    """A door that answers with ones."""

    def __init__(self, model: ServedModel) -> None:
        self.model, self.max_request_rows = model, 8
        self.asked: list[Asked] = []

    async def infer(
        self,
        account: Account,  # noqa: ARG002 - the door's signature
        inputs: np.ndarray,
        names: Sequence[str],
        remaining_seconds: float | None,
        request_id: str,
    ) -> dict[str, np.ndarray]:
        """Ones, and the values that were asked with are kept."""
        self.asked.append((inputs, names, remaining_seconds, request_id))
        return {name: np.ones(len(inputs), np.int64) for name in names}


@dataclass
class Context:
    """The parts of a call's context that the servicer reads."""

    caller: Account = ALICE
    seconds: float | None = 30.0

    def time_remaining(self) -> float | None:
        """The value that the test has set."""
        return self.seconds


@pytest.fixture
def door(bundle: Bundle) -> CountingDoor:
    """A door to the small model."""
    return CountingDoor(ServedModel.of(bundle.manifest))


@pytest.fixture
def health() -> Health:
    """Nothing is published yet."""
    return Health()


@pytest.fixture
def servicer(door: CountingDoor, health: Health, metrics: InferenceMetrics) -> InferenceServicer:
    """The servicer in front of the door."""
    return InferenceServicer(door, health, metrics)


def request_of(rows: np.ndarray, **fields: Any) -> oip.ModelInferRequest:
    """A raw request."""
    request = oip.ModelInferRequest(**{"model_name": "small", **fields})
    request.inputs.add(name="x", datatype="FP32", shape=rows.shape)
    request.raw_input_contents.append(rows.astype("<f4").tobytes())
    return request


def test_a_message_is_as_large_as_the_largest_request_needs(door: CountingDoor) -> None:
    """Or as the setting says, if that is smaller."""
    needed = 8 * 8 * 4 + REQUEST_MARGIN_BYTES
    assert terms_of(admit_strangers, door, 2**24).message_bytes == needed
    assert terms_of(admit_strangers, door, 1024).message_bytes == 1024


async def test_names_are_short(servicer: InferenceServicer, small: SmallBundle) -> None:
    """Ids, names and versions have at most 256 bytes; the error says how many were sent."""
    context = Context()
    for field in ("id", "model_name", "model_version"):
        request = request_of(small.inputs[:1], **{field: "\u2603" * 100})
        with pytest.raises(InvalidQuery, match=f"{field}: expected at most 256 bytes, got 300"):
            await servicer.ModelInfer(request, context)
    for ask in (
        servicer.ModelReady(oip.ModelReadyRequest(version="v" * 257), context),
        servicer.ModelMetadata(oip.ModelMetadataRequest(name="n" * 4_200_000), context),
    ):
        with pytest.raises(InvalidQuery, match="expected at most 256 bytes, got"):
            await ask
    assert (await servicer.ModelInfer(request_of(small.inputs[:1], id="i" * 256), context)).id


async def test_a_request_reaches_the_door_as_plain_values(
    servicer: InferenceServicer, door: CountingDoor, small: SmallBundle
) -> None:
    """Arrays, names, the time that is left and the id; the answer carries id and version."""
    rows = small.inputs[:3]
    request = request_of(rows, id="seven")
    request.outputs.add(name="label")
    response = await servicer.ModelInfer(request, Context())
    ((inputs, names, remaining_seconds, request_id),) = door.asked
    np.testing.assert_array_equal(inputs, rows)
    assert (list(names), request_id) == (["label"], "seven")
    assert remaining_seconds is not None
    assert 29 < remaining_seconds < 30
    assert (response.id, response.model_version) == ("seven", small.manifest.digest[:12])
    assert np.frombuffer(response.raw_output_contents[0], "<i8").tolist() == [1, 1, 1]


async def test_a_request_may_have_no_deadline(
    servicer: InferenceServicer, door: CountingDoor, small: SmallBundle
) -> None:
    """Then none reaches the door."""
    await servicer.ModelInfer(request_of(small.inputs[:1]), Context(seconds=None))
    assert door.asked[0][2] is None


async def test_readiness_is_that_of_the_health_name(
    servicer: InferenceServicer, health: Health
) -> None:
    """Of the server, and of the model that is served; the process is alive in any case."""

    async def told() -> list[bool]:
        live = await servicer.ServerLive(oip.ServerLiveRequest(), Context())
        server = await servicer.ServerReady(oip.ServerReadyRequest(), Context())
        models = [
            await servicer.ModelReady(oip.ModelReadyRequest(name=name), Context())
            for name in ("small", "other")
        ]
        return [live.live, server.ready, *(model.ready for model in models)]

    assert await told() == [True, False, False, False]
    health.set_serving(INFERENCE, serving=True)
    assert await told() == [True, True, True, False]


async def test_metadata_names_the_classes(servicer: InferenceServicer, small: SmallBundle) -> None:
    """As a parameter of the output `probabilities`, and of no other; the empty name asks for it."""
    told = await servicer.ModelMetadata(oip.ModelMetadataRequest(), Context())
    assert (told.name, list(told.versions)) == ("small", [small.manifest.digest[:12]])
    first, second = told.outputs
    names = json.loads(first.parameters["class_names"].string_param)
    assert (names, len(second.parameters)) == (small.manifest.class_names, 0)
    with pytest.raises(ModelNotFound):
        await servicer.ModelMetadata(oip.ModelMetadataRequest(name="other"), Context())
    assert (await servicer.ServerMetadata(oip.ServerMetadataRequest(), Context())).name == "queen"
