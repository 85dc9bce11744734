"""The front door's protocol, over real gRPC, with both peers out of reach."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import numpy as np
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2, status_pb2

from queen.api.oip import open_inference_pb2 as oip
from queen.serving.auth import key_digest
from tests.bundles import SmallBundle, make_bundle
from tests.integration.inference.door import Door, open_door, raw_request, write_accounts
from tests.waiting import until

NAME = "inference.GRPCInferenceService"
CODE = grpc.StatusCode


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """A bundle."""
    return make_bundle(Path(tmp_path_factory.mktemp("bundle")) / "b")


@pytest_asyncio.fixture
async def door(small: SmallBundle, tmp_path: Path) -> AsyncIterator[Door]:
    """A door in protect mode, with one account per profile."""
    accounts = write_accounts(tmp_path, alice="", safe="profile: safe", observer="profile: observe")
    async with open_door(small, accounts) as opened:
        yield opened


async def test_metadata_and_readiness_need_no_credential(door: Door, small: SmallBundle) -> None:
    """Five of the six methods answer anyone, and describe the model's input and output."""
    stub = door.client.stub
    assert (await stub.ServerLive(oip.ServerLiveRequest())).live
    assert (await stub.ServerReady(oip.ServerReadyRequest())).ready
    assert (await stub.ServerMetadata(oip.ServerMetadataRequest())).name == "queen"
    assert (await stub.ModelReady(oip.ModelReadyRequest(name="small"))).ready
    assert not (await stub.ModelReady(oip.ModelReadyRequest(name="other"))).ready
    assert not (await stub.ModelReady(oip.ModelReadyRequest(name="small", version="0"))).ready
    told = await stub.ModelMetadata(oip.ModelMetadataRequest(name="small"))
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in told.inputs] == [
        ("x", "FP32", [-1, 8])
    ]
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in told.outputs] == [
        ("probabilities", "FP32", [-1, 4]),
        ("label", "INT64", [-1]),
    ]
    names = told.outputs[0].parameters["class_names"].string_param
    assert json.loads(names) == small.manifest.class_names
    assert (await stub.ModelMetadata(oip.ModelMetadataRequest())).name == "small"
    ready = oip.ModelReadyRequest(name="small", version=told.versions[0])
    assert (await stub.ModelReady(ready)).ready


async def test_raw_is_answered_raw_and_typed_typed(door: Door, small: SmallBundle) -> None:
    """Raw and typed tensors carry the same answers; id, name and version come back."""
    rows = small.inputs[:5]
    raw = await door.client.send(raw_request(rows, id="seven"))
    assert (raw.id, raw.model_name, raw.model_version) == ("seven", "small", raw.model_version)
    assert [output.name for output in raw.outputs] == ["probabilities"]
    assert not raw.outputs[0].HasField("contents")
    typed_request = oip.ModelInferRequest(model_name="small", model_version=raw.model_version)
    tensor = typed_request.inputs.add(name="x", datatype="FP32", shape=rows.shape)
    tensor.contents.fp32_contents.extend(rows.ravel().tolist())
    typed = await door.client.send(typed_request)
    assert not typed.raw_output_contents
    values = np.array(typed.outputs[0].contents.fp32_contents, "<f4")
    assert values.tobytes() == raw.raw_output_contents[0]


async def test_the_label_is_that_of_the_answer(door: Door, small: SmallBundle) -> None:
    """Requested outputs come in the order asked for, and label is INT64."""
    request = raw_request(small.inputs[:9])
    request.outputs.add(name="label")
    request.outputs.add(name="probabilities")
    request.parameters["triton_whatever"].int64_param = 3
    response = await door.client.send(request)
    assert [(tensor.name, tensor.datatype) for tensor in response.outputs] == [
        ("label", "INT64"),
        ("probabilities", "FP32"),
    ]
    labels = np.frombuffer(response.raw_output_contents[0], "<i8")
    answers = np.frombuffer(response.raw_output_contents[1], "<f4").reshape(9, 4)
    assert labels.tolist() == answers.argmax(axis=1).tolist()


def changed(change: Callable[[oip.ModelInferRequest], object]) -> oip.ModelInferRequest:
    """A request of two rows with one thing wrong."""
    request = raw_request(np.ones((2, 8), np.float32))
    change(request)
    return request


def poisoned(value: float) -> oip.ModelInferRequest:
    """A request with a number that is none."""
    rows = np.ones((2, 8), np.float32)
    rows[1, 3] = value
    return raw_request(rows)


BAD = {
    "unknown model": (
        changed(lambda request: setattr(request, "model_name", "../etc")),
        CODE.NOT_FOUND,
        "'small', got '../etc'",
    ),
    "unknown version": (
        changed(lambda request: setattr(request, "model_version", "9")),
        CODE.NOT_FOUND,
        "got '9'",
    ),
    "wrong name": (
        changed(lambda request: setattr(request.inputs[0], "name", "y")),
        CODE.INVALID_ARGUMENT,
        "expected input 'x', got 'y'",
    ),
    "wrong datatype": (
        changed(lambda request: setattr(request.inputs[0], "datatype", "FP64")),
        CODE.INVALID_ARGUMENT,
        "expected datatype FP32, got 'FP64'",
    ),
    "wrong shape": (
        changed(lambda request: request.inputs[0].shape.append(1)),
        CODE.INVALID_ARGUMENT,
        "expected shape [-1, 8] with at least 1 row, got [2, 8, 1]",
    ),
    "no rows": (
        raw_request(np.ones((0, 8), np.float32)),
        CODE.INVALID_ARGUMENT,
        "at least 1 row",
    ),
    "wrong byte count": (
        changed(lambda request: request.raw_input_contents.__setitem__(0, b"1234")),
        CODE.INVALID_ARGUMENT,
        "expected 64 bytes for shape [2, 8] of FP32, got 4",
    ),
    "both forms": (
        changed(lambda request: request.inputs[0].contents.fp32_contents.append(1.0)),
        CODE.INVALID_ARGUMENT,
        "got both",
    ),
    "no input": (
        changed(lambda request: request.ClearField("inputs")),
        CODE.INVALID_ARGUMENT,
        "expected 1 input, 'x', got 0",
    ),
    "duplicate output": (
        changed(
            lambda request: request.outputs.extend(
                [oip.ModelInferRequest.InferRequestedOutputTensor(name="label")] * 2
            )
        ),
        CODE.INVALID_ARGUMENT,
        "twice",
    ),
    "unknown output": (
        changed(lambda request: request.outputs.add(name="logits")),
        CODE.INVALID_ARGUMENT,
        "got 'logits'",
    ),
    "NaN": (poisoned(float("nan")), CODE.INVALID_ARGUMENT, "finite"),
    "infinity": (poisoned(float("inf")), CODE.INVALID_ARGUMENT, "finite"),
    "too many rows": (
        raw_request(np.ones((257, 8), np.float32)),
        CODE.RESOURCE_EXHAUSTED,
        "at most 256 rows, got 257",
    ),
}


@pytest.mark.parametrize("name", sorted(BAD))
async def test_a_bad_request_is_told_what_was_expected(
    door: Door, small: SmallBundle, name: str
) -> None:
    """Code, sentence and field violation fit the mistake, and the next request is served."""
    request, code, words = BAD[name]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await door.client.send(request)
    assert caught.value.code() is code
    assert words in (caught.value.details() or "")
    trailers = dict(caught.value.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    kinds = [packed.TypeName() for packed in status.details]
    assert {"google.rpc.ErrorInfo", "google.rpc.BadRequest"} <= set(kinds)
    violation = error_details_pb2.BadRequest()
    status.details[kinds.index("google.rpc.BadRequest")].Unpack(violation)
    assert violation.field_violations[0].field
    assert len(await door.client.ask(small.inputs[:1])) == 1


@pytest.mark.parametrize("account", [None, "nobody"])
async def test_no_credential_is_refused_before_any_validation(
    door: Door, account: str | None
) -> None:
    """A stranger's broken request is UNAUTHENTICATED, whatever else is wrong with it."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await door.client.send(BAD["unknown model"][0], account)
    assert caught.value.code() is CODE.UNAUTHENTICATED


async def test_a_huge_message_is_refused_and_the_door_goes_on(
    door: Door, small: SmallBundle
) -> None:
    """100 MB are RESOURCE_EXHAUSTED."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await door.client.send(raw_request(np.ones((3_125_000, 8), np.float32)))
    assert caught.value.code() is CODE.RESOURCE_EXHAUSTED
    assert len(await door.client.ask(small.inputs[:1])) == 1


async def test_without_sensitivity_answers_are_label_only(door: Door, small: SmallBundle) -> None:
    """Protect mode keeps the label, sends one fixed profile, counts it, and stays ready."""
    answers = await door.client.ask(small.inputs[:40])
    assert answers.argmax(axis=1).tolist() == small.labels[:40].tolist()
    np.testing.assert_allclose(np.sort(answers, axis=1), [[0.1 / 3] * 3 + [0.9]] * 40, rtol=1e-6)
    assert door.metric("queen_failure_mode_total", mode="protect") == 1
    assert door.metric("queen_dependency_up", dependency="sensitivity") == 0
    assert door.process.shell.health.is_serving(NAME)
    assert not door.process.shell.health.is_serving("queen.api.v1.SensitivityService")


async def test_observe_needs_no_peer(door: Door, small: SmallBundle) -> None:
    """An account under observe gets the protectee's own probabilities, peers or not."""
    answers = await door.client.ask(small.inputs[:40], "observer")
    logits = small.model.logits(small.inputs[:40]).astype(np.float64)
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    assert door.metric("queen_failure_mode_total", mode="protect") == 0


async def test_deny_is_unavailable_and_not_ready(small: SmallBundle, tmp_path: Path) -> None:
    """In deny mode requests get UNAVAILABLE with a delay, and readiness follows the peers."""
    async with open_door(small, write_accounts(tmp_path, alice=""), failure_mode="deny") as door:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.client.ask(small.inputs[:1])
        assert caught.value.code() is CODE.UNAVAILABLE
        assert not (await door.client.stub.ServerReady(oip.ServerReadyRequest())).ready
        assert (await door.client.stub.ServerLive(oip.ServerLiveRequest())).live
        assert door.metric("queen_failure_mode_total", mode="deny") == 1


async def test_allow_sends_clean_answers_and_counts_them(
    small: SmallBundle, tmp_path: Path
) -> None:
    """In allow mode the protectee's own probabilities leave, as those under observe."""
    accounts = write_accounts(tmp_path, alice="", observer="profile: observe")
    settings = {"failure_mode": "allow", "allow_clean_answers": True}
    async with open_door(small, accounts, **settings) as door:
        clean = await door.client.ask(small.inputs[:9])
        assert clean.tobytes() == (await door.client.ask(small.inputs[:9], "observer")).tobytes()
        assert door.metric("queen_failure_mode_total", mode="allow") == 1


async def test_keys_are_swapped_under_traffic(small: SmallBundle, tmp_path: Path) -> None:
    """A key removed from the file stops to work, and a new key starts, without a restart."""
    accounts, swapped = write_accounts(tmp_path, alice=""), tmp_path / "swapped.yaml"
    async with open_door(small, accounts) as door:
        await door.client.ask(small.inputs[:1])

        def is_swapped() -> bool:
            # Written again until it is seen: the watch may begin after the first time.
            swapped.write_text(f"accounts: [{{id: bob, key_sha256: {key_digest('key-of-bob')}}}]")
            swapped.replace(accounts)
            return door.metric("config_load_total", file="accounts", result="success") >= 2

        await until(is_swapped)
        await door.client.ask(small.inputs[:1], "bob")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.client.ask(small.inputs[:1])
        assert caught.value.code() is CODE.UNAUTHENTICATED
