"""The sensitivity service as a real process over real gRPC."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from queen.api.v1 import admin_pb2, admin_pb2_grpc, sensitivity_pb2_grpc
from queen.api.v1 import sensitivity_pb2 as pb
from queen.bundle import open_bundle
from queen.method.geometry import Geometry
from queen.method.ledger import Verdict
from queen.method.neighbors import nearest_distances
from tests.bundles import SmallBundle, make_bundle
from tests.integration.leaf_processes import (
    LeafProcess,
    leaf_process,
    reason_of,
    run_refused,
    violated_field,
)

BUDGET = 20


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """The bundle that all tests serve."""
    return make_bundle(tmp_path_factory.mktemp("sensitivity") / "bundle", coverage_fraction=0.05)


@dataclass
class Service:
    """A running service with stubs on it."""

    process: LeafProcess
    sensitivity: sensitivity_pb2_grpc.SensitivityServiceStub
    admin: admin_pb2_grpc.AdminServiceStub
    health: health_pb2_grpc.HealthStub


def stubs(process: LeafProcess) -> Service:
    """Stubs on a running process."""
    main = grpc.insecure_channel(process.addresses["address"])
    admin = grpc.insecure_channel(process.addresses["admin"])
    return Service(
        process,
        sensitivity_pb2_grpc.SensitivityServiceStub(main),
        admin_pb2_grpc.AdminServiceStub(admin),
        health_pb2_grpc.HealthStub(main),
    )


@pytest.fixture(scope="module")
def service(small: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One process for all tests that leave it running."""
    folder = tmp_path_factory.mktemp("state")
    with leaf_process(
        "sensitivity",
        folder,
        bundle=small.path,
        state=folder / "ledger.sqlite3",
        admin_port=0,
        budget=BUDGET,
        max_rows=64,
    ) as process:
        yield stubs(process)


def request_of(
    small: SmallBundle, rows: np.ndarray, names: tuple[str, ...], **changes: object
) -> pb.AssessRequest:
    """Some training samples as queries, dealt out to the accounts in turn."""
    embeddings = small.model.embeddings(small.inputs[rows])
    fields: dict[str, object] = {
        "bundle_digest": small.manifest.digest,
        "accounts": [pb.AccountPolicy(account_id=name) for name in names],
        "account_index": (np.arange(len(rows)) % len(names)).astype("<u4").tobytes(),
        "labels": small.labels[rows].astype("<i4").tobytes(),
        "embeddings": embeddings.astype("<f4").tobytes(),
    }
    return pb.AssessRequest(**{**fields, **changes})  # type: ignore[arg-type]


def geometry_of(small: SmallBundle) -> Geometry:
    """The geometry that is served."""
    return open_bundle(small.path).geometry


def get_records(service: Service, account: str) -> dict[int, np.ndarray]:
    """An account's records by class; empty if it has none."""
    try:
        answer = service.admin.GetAccount(admin_pb2.GetAccountRequest(account_id=account))
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return {}
        raise
    return {
        ledger.label: np.frombuffer(ledger.embeddings, "<f4").reshape(-1, 2)
        for ledger in answer.classes
    }


def test_a_stream_is_recorded_reversed_and_replayed(small: SmallBundle, service: Service) -> None:
    """An account crosses its budget; its records keep their distance; a replay adds none."""
    rows = np.arange(400)
    verdicts = []
    for start in range(0, 400, 50):
        answer = service.sensitivity.Assess(
            request_of(small, rows[start : start + 50], ("heavy",)), timeout=10
        )
        verdicts += list(answer.verdicts)
        for name in ("distances", "sqs", "cqs_before", "cqs_after"):
            assert len(getattr(answer, name)) == 4 * 50
    assert set(verdicts) == {Verdict.PRESERVE, Verdict.RECORD, Verdict.REVERSE}

    records = get_records(service, "heavy")
    geometry = geometry_of(small)
    assert sum(map(len, records.values())) == verdicts.count(Verdict.RECORD)
    for label, kept in records.items():
        for place in range(1, len(kept)):
            nearest = nearest_distances(kept[:place], kept[place : place + 1])[0]
            assert nearest > geometry.coverage_radius[label]

    again = service.sensitivity.Assess(request_of(small, rows[:50], ("heavy",)), timeout=10)
    assert Verdict.RECORD not in list(again.verdicts)
    assert get_records(service, "heavy").keys() == records.keys()


def test_an_accounts_verdicts_do_not_depend_on_others(small: SmallBundle, service: Service) -> None:
    """The same queries of two accounts in one batch get the same verdicts, row by row."""
    rows = np.repeat(np.arange(30), 2)
    answer = service.sensitivity.Assess(request_of(small, rows, ("twin-1", "twin-2")), timeout=10)
    verdicts = np.frombuffer(answer.verdicts, "u1")
    assert np.array_equal(verdicts[0::2], verdicts[1::2])
    assert Verdict.RECORD in verdicts
    first, second = get_records(service, "twin-1"), get_records(service, "twin-2")
    assert {label: kept.tobytes() for label, kept in first.items()} == {
        label: kept.tobytes() for label, kept in second.items()
    }


def test_the_admin_lists_accounts_in_pages_and_says_what_is_spent(
    small: SmallBundle, service: Service
) -> None:
    """Following the tokens gives every account once, in order, with its share of the budget."""
    names = tuple(f"page-{number}" for number in range(7))
    service.sensitivity.Assess(
        request_of(small, np.repeat(np.arange(9), 7)[:63], names), timeout=10
    )
    for start in range(0, 400, 50):
        rows = np.arange(start, start + 50)
        service.sensitivity.Assess(request_of(small, rows, ("page-spent",)), timeout=10)
    seen, token, pages = [], "", 0
    while True:
        answer = service.admin.ListAccounts(
            admin_pb2.ListAccountsRequest(page_size=3, page_token=token)
        )
        assert len(answer.accounts) <= 3
        seen += list(answer.accounts)
        token, pages = answer.next_page_token, pages + 1
        if not token:
            break
    ids = [summary.account_id for summary in seen]
    assert ids == sorted(set(ids))
    assert {*names, "page-spent"} <= set(ids)
    assert pages == -(-len(ids) // 3)
    spent = next(summary for summary in seen if summary.account_id == "page-spent")
    assert spent.budget_spent > 1
    assert spent.crossed_classes
    fresh = next(summary for summary in seen if summary.account_id == "page-0")
    assert 0 < fresh.budget_spent < 1
    assert not fresh.crossed_classes

    full = service.admin.GetAccount(admin_pb2.GetAccountRequest(account_id="page-spent"))
    assert full.bundle_digest == small.manifest.digest
    assert full.summary == spent
    crossed = [ledger.label for ledger in full.classes if ledger.cqs > ledger.threshold]
    assert crossed == list(spent.crossed_classes)


@pytest.mark.parametrize(
    ("rpc", "request_", "field"),
    [
        ("ListAccounts", admin_pb2.ListAccountsRequest(page_size=1001), "page_size"),
        ("ListAccounts", admin_pb2.ListAccountsRequest(page_size=-1), "page_size"),
        ("ListAccounts", admin_pb2.ListAccountsRequest(page_token="%%%"), "page_token"),  # noqa: S106 - no password
        ("ListAccounts", admin_pb2.ListAccountsRequest(page_token="_w=="), "page_token"),  # noqa: S106 - no password
        ("GetAccount", admin_pb2.GetAccountRequest(), "account_id"),
    ],
)
def test_bad_admin_requests_are_refused(
    service: Service, rpc: str, request_: object, field: str
) -> None:
    """Each names the field at fault."""
    with pytest.raises(grpc.RpcError) as refusal:
        getattr(service.admin, rpc)(request_)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violated_field(refusal.value) == field


def test_an_unknown_account_is_not_found_and_its_name_not_repeated(service: Service) -> None:
    """Asking for an account makes none."""
    with pytest.raises(grpc.RpcError) as refusal:
        service.admin.GetAccount(admin_pb2.GetAccountRequest(account_id="nobody-here"))
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
    assert "nobody-here" not in refusal.value.details()


NAN = np.array([[0, np.nan]], "<f4").tobytes()
INVALID, EXHAUSTED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED
BAD: list[tuple[str, int, dict[str, object], grpc.StatusCode, str, str]] = [
    ("no rows", 0, {}, INVALID, "expected at least 1 row", "INVALID_QUERY"),
    ("many rows", 65, {}, EXHAUSTED, "expected at most 64 rows, got 65", "BATCH_TOO_LARGE"),
    ("NaN", 1, {"embeddings": NAN}, INVALID, "expected finite", "INVALID_QUERY"),
    ("short embeddings", 2, {"embeddings": b"1234"}, INVALID, "16 bytes, got 4", "SHAPE_MISMATCH"),
    ("odd labels", 1, {"labels": b"123"}, INVALID, "a multiple of 4 bytes", "SHAPE_MISMATCH"),
    ("long index", 1, {"account_index": bytes(8)}, INVALID, "4 bytes, got 8", "SHAPE_MISMATCH"),
    ("class 4", 1, {"labels": b"\4\0\0\0"}, INVALID, "0..3, got 4", "INVALID_QUERY"),
    ("class -1", 1, {"labels": b"\xff\xff\xff\xff"}, INVALID, "0..3, got -1", "INVALID_QUERY"),
    ("account 1", 1, {"account_index": b"\1\0\0\0"}, INVALID, "0..0, got 1", "INVALID_QUERY"),
    ("no account", 1, {"accounts": []}, INVALID, "at least 1 account", "INVALID_QUERY"),
    (
        "empty id",
        1,
        {"accounts": [pb.AccountPolicy(account_id="")]},
        INVALID,
        "account id of 1 to 1024 characters, got 0",
        "INVALID_QUERY",
    ),
    (
        "same id twice",
        1,
        {"accounts": [pb.AccountPolicy(account_id="bad"), pb.AccountPolicy(account_id="bad")]},
        INVALID,
        "each account once",
        "INVALID_QUERY",
    ),
    (
        "budget",
        1,
        {"accounts": [pb.AccountPolicy(account_id="bad", budget=10**9)]},
        INVALID,
        "expected a budget of at most",
        "INVALID_QUERY",
    ),
    (
        "other bundle",
        1,
        {"bundle_digest": "f" * 64},
        grpc.StatusCode.FAILED_PRECONDITION,
        "got ffffffffffff",
        "BUNDLE_MISMATCH",
    ),
]


@pytest.mark.parametrize(
    ("rows", "changes", "code", "message", "reason"),
    [case[1:] for case in BAD],
    ids=[case[0] for case in BAD],
)
def test_bad_requests_are_refused_and_ledgers_untouched(
    small: SmallBundle,
    service: Service,
    rows: int,
    changes: dict[str, object],
    code: grpc.StatusCode,
    message: str,
    reason: str,
) -> None:
    """Each refusal says expected and got; the account gets no record and the service goes on."""
    with pytest.raises(grpc.RpcError) as refusal:
        service.sensitivity.Assess(
            request_of(small, np.arange(rows), ("bad",), **changes), timeout=10
        )
    assert refusal.value.code() is code
    assert message in refusal.value.details()
    assert reason_of(refusal.value) == reason
    assert get_records(service, "bad") == {}


def test_metrics_count_verdicts_and_appends(small: SmallBundle, service: Service) -> None:
    """Decisions, appends, stages and accounts are there, and no account is named."""
    service.sensitivity.Assess(request_of(small, np.arange(20), ("counted",)), timeout=10)
    text = service.process.metrics()
    for name in ("preserve", "record", "reverse"):
        assert f'queen_decisions_total{{decision="{name}"}}' in text
    for result in ("appended", "conflict", "regressed"):
        assert f'queen_state_cas_total{{result="{result}"}}' in text
    for stage in ("decode", "wait", "assess", "load", "append"):
        assert f'queen_stage_seconds_count{{stage="{stage}"}}' in text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values['queen_decisions_total{decision="record"}']) > 0
    assert float(values["queen_accounts_tracked"]) >= 1
    assert "counted" not in text


def test_health_names_the_process_and_the_service(service: Service) -> None:
    """The empty name is the process; the full name is ready."""
    for name in ("", "queen.api.v1.SensitivityService"):
        answer = service.health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_admin_api_is_not_on_the_main_port(service: Service) -> None:
    """Whoever reaches the port of the front door cannot read ledgers."""
    channel = grpc.insecure_channel(service.process.addresses["address"])
    with pytest.raises(grpc.RpcError) as refusal:
        admin_pb2_grpc.AdminServiceStub(channel).ListAccounts(admin_pb2.ListAccountsRequest())
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_kill_nine_under_traffic_loses_no_acknowledged_record(
    small: SmallBundle, tmp_path: Path
) -> None:
    """Four callers, SIGKILL, restart: all they were told is there, and a replay adds nothing."""
    settings = {"bundle": small.path, "state": tmp_path / "ledger", "admin_port": 0}
    acknowledged: dict[str, list[pb.AssessRequest]] = {}
    recorded: dict[str, set[bytes]] = {}
    with leaf_process("sensitivity", tmp_path, **settings) as process:
        told = threading.Event()
        callers = [
            threading.Thread(
                target=_call_until_dead,
                args=(stubs(process), small, f"caller-{number}", acknowledged, recorded, told),
            )
            for number in range(4)
        ]
        for caller in callers:
            caller.start()
        assert told.wait(20)
        process.kill()
        for caller in callers:
            caller.join()
    assert sum(map(len, recorded.values())) > 20

    with leaf_process("sensitivity", tmp_path, **settings) as process:
        service = stubs(process)
        for account, expected in recorded.items():
            before = get_records(service, account)
            kept = {record.tobytes() for records in before.values() for record in records}
            assert expected <= kept
            for request in acknowledged[account]:
                answer = service.sensitivity.Assess(request, timeout=10)
                assert Verdict.RECORD not in list(answer.verdicts)
            after = get_records(service, account)
            assert {label: records.tobytes() for label, records in after.items()} == {
                label: records.tobytes() for label, records in before.items()
            }
        assert process.stop() == 0


def _call_until_dead(
    service: Service,
    small: SmallBundle,
    account: str,
    acknowledged: dict[str, list[pb.AssessRequest]],
    recorded: dict[str, set[bytes]],
    told: threading.Event,
) -> None:
    rng = np.random.default_rng(len(account) + int(account[-1]))
    acknowledged[account], recorded[account] = [], set()
    for turn in range(2000):
        request = request_of(small, rng.integers(0, 400, 2), (account,))
        try:
            answer = service.sensitivity.Assess(request, timeout=10)
        except grpc.RpcError:
            return
        embeddings = np.frombuffer(request.embeddings, "<f4").reshape(-1, 2)
        verdicts = np.frombuffer(answer.verdicts, "u1")
        acknowledged[account].append(request)
        recorded[account] |= {row.tobytes() for row in embeddings[verdicts == Verdict.RECORD]}
        if turn == 25:
            told.set()


def test_a_second_process_on_the_same_state_is_refused(small: SmallBundle, tmp_path: Path) -> None:
    """One replica a ledger file; after a clean stop the next one starts."""
    settings = {"bundle": small.path, "state": tmp_path / "ledger", "admin_port": 0}
    with leaf_process("sensitivity", tmp_path, **settings) as process:
        said = run_refused("sensitivity", port=0, metrics_port=-1, **settings)
        assert "another process holds this ledger" in said
        assert process.stop() == 0
    assert '"level": "info"' in process.log.read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 10_000_000}, "expected a budget of at most"),
        ({"state": "redis://localhost"}, "memory or the path of a SQLite file"),
        ({"state": "/nowhere/ledger"}, "folder that exists"),
        ({"bugdet": 3}, "bugdet"),
        ({"bundle": "/nowhere"}, "no bundle here"),
    ],
)
def test_an_unlucky_operator_reads_one_sentence(
    small: SmallBundle, changes: dict[str, object], message: str
) -> None:
    """Exit code 2 and a sentence that says what is wrong; nothing is half-started."""
    defaults = {"bundle": small.path, "state": "memory", "port": 0, "metrics_port": -1}
    said = run_refused("sensitivity", **{**defaults, "admin_port": 0, **changes})
    assert message in said
    assert said.count("\n") == 1
