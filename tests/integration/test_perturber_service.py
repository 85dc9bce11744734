"""The perturber service as a real process over real gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from queen.api.v1 import perturber_pb2 as pb
from queen.api.v1 import perturber_pb2_grpc
from queen.method.contracts import check_answers
from queen.wire import PROFILES
from tests.bundles import SmallBundle
from tests.integration.refusals import Refusal
from tests.service_process import ServiceProcess, run_refused, running_service
from tests.unit.perturber.flagged import SECRET, flagged_of, request_of, small_bundle

Stub = perturber_pb2_grpc.PerturberServiceStub


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """The bundle that all tests serve."""
    return small_bundle(tmp_path_factory.mktemp("perturber"))


@pytest.fixture(scope="module")
def settings(small: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Bundle, secret and bound of the served process."""
    secret = tmp_path_factory.mktemp("secret") / "secret"
    secret.write_bytes(SECRET)
    return {"bundle": small.path, "secret_file": secret, "device": "cpu", "max_rows": 64}


@pytest.fixture(scope="module")
def process(
    settings: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    """A process for all tests that leave it running."""
    with running_service("perturber", tmp_path_factory.mktemp("process"), **settings) as running:
        yield running


@pytest.fixture(scope="module")
def stub(process: ServiceProcess) -> Stub:
    """A stub on it."""
    return Stub(grpc.insecure_channel(process.addresses["address"]))


def answers_of(response: pb.ReverseResponse) -> np.ndarray:
    """The answers (B, C)."""
    return np.frombuffer(response.probabilities, "<f4").reshape(-1, 4)


def test_answers_are_within_their_contracts(small: SmallBundle, stub: Stub) -> None:
    """Mixed profiles in one call: each row holds its own."""
    rows = np.arange(64)
    flagged = flagged_of(small, rows)
    answers = answers_of(stub.Reverse(request_of(small, rows), timeout=10))
    assert set(flagged.profiles.tolist()) == {1, 2, 3}
    for code, profile in PROFILES.items():
        of_profile = flagged.profiles == code
        check_answers(profile, answers[of_profile], flagged.probabilities[of_profile])
    assert (answers.argmax(axis=1) != flagged.probabilities.argmax(axis=1)).any()


def test_the_same_query_gets_the_same_bytes(small: SmallBundle, stub: Stub) -> None:
    """Alone, repeated, among others, in any order: one answer."""
    rows = np.arange(64)
    together = answers_of(stub.Reverse(request_of(small, rows), timeout=10))
    order = np.random.default_rng(0).permutation(64)
    shuffled = answers_of(stub.Reverse(request_of(small, rows[order]), timeout=10))
    assert shuffled.tobytes() == together[order].tobytes()
    repeated = answers_of(stub.Reverse(request_of(small, np.full(64, 3)), timeout=10))
    assert {row.tobytes() for row in repeated} == {together[3].tobytes()}
    for row in range(8):
        alone = answers_of(stub.Reverse(request_of(small, rows[row : row + 1]), timeout=10))
        assert alone.tobytes() == together[row].tobytes()


def test_a_distance_is_asked_of_balanced_rows_only(small: SmallBundle, stub: Stub) -> None:
    """Without a row under `balanced` nothing needs to be said of its distance."""
    request = request_of(small, np.arange(1), profiles=bytes([pb.PROFILE_STRICT]), balanced_l1=0.0)
    assert stub.Reverse(request, timeout=10).probabilities


def test_a_restart_changes_no_answer(
    small: SmallBundle, stub: Stub, settings: dict[str, object], tmp_path: Path
) -> None:
    """The draw is keyed by the secret, not by the process; SIGTERM ends it with 0."""
    request = request_of(small, np.arange(20))
    before = stub.Reverse(request, timeout=10).probabilities
    with running_service("perturber", tmp_path, **settings) as other:
        fresh = Stub(grpc.insecure_channel(other.addresses["address"]))
        assert fresh.Reverse(request, timeout=10).probabilities == before
        assert other.drain() == 0
    log = other.log.read_text()
    assert SECRET.hex() not in log
    assert str(SECRET) not in log


NAN = np.array([np.nan] + [0.0] * 15, "<f4").tobytes()
INVALID, EXHAUSTED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED
BAD: list[tuple[str, int, dict[str, object], grpc.StatusCode, str, str]] = [
    ("no rows", 0, {}, INVALID, "expected at least 1 row", "INVALID_QUERY"),
    ("many rows", 65, {}, EXHAUSTED, "expected at most 64 rows, got 65", "BATCH_TOO_LARGE"),
    ("profile 0", 1, {"profiles": b"\0"}, INVALID, "got 0", "INVALID_QUERY"),
    (
        "profile 4",
        1,
        {"profiles": b"\4"},
        INVALID,
        "expected 1 (paper), 2 (balanced), 3 (strict), got 4",
        "INVALID_QUERY",
    ),
    ("profile 9", 1, {"profiles": b"\t"}, INVALID, "got 9", "INVALID_QUERY"),
    (
        "NaN input",
        1,
        {"shadow_inputs": NAN},
        INVALID,
        "shadow_inputs: expected finite",
        "INVALID_QUERY",
    ),
    ("short input", 1, {"shadow_inputs": b"1234"}, INVALID, "64 bytes, got 4", "SHAPE_MISMATCH"),
    (
        "NaN embedding",
        1,
        {"embeddings": NAN[:8]},
        INVALID,
        "embeddings: expected finite",
        "INVALID_QUERY",
    ),
    ("long embedding", 1, {"embeddings": bytes(12)}, INVALID, "8 bytes, got 12", "SHAPE_MISMATCH"),
    (
        "NaN sketch",
        1,
        {"sketches": NAN[:32]},
        INVALID,
        "sketches: expected finite",
        "INVALID_QUERY",
    ),
    ("no sketch", 1, {"sketches": b""}, INVALID, "sketches: expected 32", "SHAPE_MISMATCH"),
    ("long sketch", 1, {"sketches": bytes(36)}, INVALID, "32 bytes, got 36", "SHAPE_MISMATCH"),
    (
        "no distance",
        1,
        {"profiles": b"\2", "balanced_l1": 0.0},
        INVALID,
        "balanced_l1: expected an L1 distance in (0, 2], got 0",
        "INVALID_QUERY",
    ),
    (
        "NaN distance",
        1,
        {"profiles": b"\2", "balanced_l1": float("nan")},
        INVALID,
        "got nan",
        "INVALID_QUERY",
    ),
    (
        "distance above 2",
        1,
        {"profiles": b"\2", "balanced_l1": 2.5},
        INVALID,
        "got 2.5",
        "INVALID_QUERY",
    ),
    ("NaN answer", 1, {"probabilities": NAN[:16]}, INVALID, "sum to 1", "INVALID_QUERY"),
    ("zero answer", 1, {"probabilities": bytes(16)}, INVALID, "sum to 1", "INVALID_QUERY"),
    (
        "short answer",
        1,
        {"probabilities": bytes(15)},
        INVALID,
        "16 bytes, got 15",
        "SHAPE_MISMATCH",
    ),
    (
        "other bundle",
        1,
        {"bundle_digest": ""},
        grpc.StatusCode.FAILED_PRECONDITION,
        "got none",
        "BUNDLE_MISMATCH",
    ),
]


@pytest.mark.parametrize(
    ("rows", "changes", "refusal"),
    [(rows, changes, Refusal(*status)) for _, rows, changes, *status in BAD],
    ids=[case[0] for case in BAD],
)
def test_bad_requests_are_refused(
    small: SmallBundle,
    stub: Stub,
    rows: int,
    changes: dict[str, object],
    refusal: Refusal,
) -> None:
    """Every refusal says expected and got, and the service goes on."""
    with pytest.raises(grpc.RpcError) as caught:
        stub.Reverse(request_of(small, np.arange(rows), **changes), timeout=10)
    refusal.require(caught.value)
    assert stub.Reverse(request_of(small, np.arange(1)), timeout=10).probabilities


def test_metrics_and_health(small: SmallBundle, stub: Stub, process: ServiceProcess) -> None:
    """Answers are counted by profile, stages are timed, and the service reports ready."""
    stub.Reverse(request_of(small, np.arange(10)), timeout=10)
    text = process.metrics()
    assert 'profile="safe"' not in text
    for profile in ("paper", "balanced", "strict"):
        assert f'queen_answers_total{{profile="{profile}"}}' in text
    for stage in ("decode", "wait", "reverse"):
        assert f'queen_stage_seconds_count{{stage="{stage}"}}' in text
    health = health_pb2_grpc.HealthStub(grpc.insecure_channel(process.addresses["address"]))
    for name in ("", "queen.api.v1.PerturberService"):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_an_unlucky_operator_reads_one_sentence(
    small: SmallBundle, settings: dict[str, object], tmp_path: Path
) -> None:
    """A short secret is refused with exit code 2 and the way to make one, unquoted."""
    short = tmp_path / "short"
    short.write_bytes(b"too short")
    plain = {**settings, "port": 0, "metrics_port": -1}
    said = run_refused("perturber", **{**plain, "secret_file": short})
    assert "expected at least 16 bytes, got 9; make one with" in said
    assert "too short" not in said
    assert said.count("\n") == 1
