"""The refusals of the sensitivity service and their messages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import grpc
import numpy as np
import pytest

from queen.api.v1 import admin_pb2, admin_pb2_grpc
from queen.api.v1 import sensitivity_pb2 as pb
from tests.bundles import SmallBundle
from tests.integration.refusals import Refusal, reason_of, violated_field
from tests.integration.sensitivity.calls import (
    Service,
    export_all,
    request_of,
    small_service,
)
from tests.redis_servers import redis_server
from tests.service_process import run_refused

LARGEST = 64 * 1024
"""Bytes of the largest message that the service accepts."""
MANDATE = {"reason": "test"}


@pytest.fixture(scope="module", params=["memory", "sqlite", "redis"])
def service(
    request: pytest.FixtureRequest, small: SmallBundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A process on each kind of state, with some ledgers, for all tests of this module."""
    folder = tmp_path_factory.mktemp("state")
    with ExitStack() as stack:
        state: object = {"memory": "memory", "sqlite": folder / "ledger"}.get(request.param)
        if state is None:
            state = stack.enter_context(redis_server(folder / "redis")).url
        settings = {"max_message_bytes": LARGEST, "redis_timeout_seconds": 10}
        running = stack.enter_context(small_service(small, folder, state=state, **settings))
        known = [pb.AccountPolicy(account_id=name, group="g") for name in ("bad", "good")]
        asked = request_of(small, np.arange(64), ("bad", "good"), accounts=known)
        running.sensitivity.Assess(asked, timeout=20)
        yield running


@pytest.fixture(autouse=True)
def ledgers_untouched(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test of the service changes the ledgers, byte for byte."""
    if "service" not in request.fixturenames:
        yield
        return
    running: Service = request.getfixturevalue("service")
    before = export_all(running)
    assert before.count(b"good") == 1
    yield
    assert export_all(running) == before


BAD_ADMIN: list[tuple[str, object, str, str]] = [
    ("ListAccounts", admin_pb2.ListAccountsRequest(page_size=1001), "page_size", "got 1001"),
    ("ListAccounts", admin_pb2.ListAccountsRequest(page_size=-1), "page_size", "got -1"),
    ("ListAccounts", admin_pb2.ListAccountsRequest(page_token="%%%"), "page_token", "got another"),  # noqa: S106 - no password
    ("ListAccounts", admin_pb2.ListAccountsRequest(page_token="_w=="), "page_token", "got another"),  # noqa: S106 - no password
    ("GetAccount", admin_pb2.GetAccountRequest(), "account_id", "got none"),
    *(
        (rpc, kind(account_id="x" * 1025, **mandate), "account_id", "at most 1024 characters, got")
        for rpc, kind, mandate in (
            ("GetAccount", admin_pb2.GetAccountRequest, {}),
            ("ResetAccount", admin_pb2.ResetAccountRequest, MANDATE),
            ("DeleteAccount", admin_pb2.DeleteAccountRequest, MANDATE),
        )
    ),
    ("ResetAccount", admin_pb2.ResetAccountRequest(**MANDATE), "account_id", "got none"),
    ("ResetAccount", admin_pb2.ResetAccountRequest(account_id="good"), "reason", "got none"),
    (
        "DeleteAccount",
        admin_pb2.DeleteAccountRequest(account_id="good", reason="r" * 1025),
        "reason",
        "got 1025",
    ),
]


@pytest.mark.parametrize(("rpc", "asked", "field", "message"), BAD_ADMIN)
def test_bad_admin_requests_are_refused(
    service: Service, rpc: str, asked: object, field: str, message: str
) -> None:
    """Every refusal names the field at fault, and says expected and got."""
    with pytest.raises(grpc.RpcError) as refusal:
        getattr(service.admin, rpc)(asked, timeout=20)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(refusal.value) == "INVALID_QUERY"
    assert violated_field(refusal.value) == field
    assert "expected" in refusal.value.details()
    assert message in refusal.value.details()


@pytest.mark.parametrize("rpc", ["GetAccount", "ResetAccount", "DeleteAccount", "ExportAccounts"])
@pytest.mark.parametrize("name", ["nobody", "group nobody"])
def test_an_unknown_account_is_not_found(service: Service, rpc: str, name: str) -> None:
    """A question about an account creates none."""
    calls = {
        "GetAccount": lambda: service.admin.GetAccount(
            admin_pb2.GetAccountRequest(account_id=name), timeout=20
        ),
        "ResetAccount": lambda: service.admin.ResetAccount(
            admin_pb2.ResetAccountRequest(account_id=name, **MANDATE), timeout=20
        ),
        "DeleteAccount": lambda: service.admin.DeleteAccount(
            admin_pb2.DeleteAccountRequest(account_id=name, **MANDATE), timeout=20
        ),
        "ExportAccounts": lambda: list(
            service.admin.ExportAccounts(
                admin_pb2.ExportAccountsRequest(account_ids=[name]), timeout=20
            )
        ),
    }
    with pytest.raises(grpc.RpcError) as refusal:
        calls[rpc]()
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
    assert reason_of(refusal.value) == "ACCOUNT_NOT_FOUND"
    assert "expected an account with records under this bundle, got one without" in (
        refusal.value.details()
    )


def test_an_import_under_another_geometry_is_refused(service: Service) -> None:
    """Its records would mean nothing here."""
    account = admin_pb2.AccountRecords(account_id="good", geometry_digest="f" * 64, marks=[9.0])
    asked = admin_pb2.ImportAccountsRequest(account=account, **MANDATE)
    with pytest.raises(grpc.RpcError) as refusal:
        service.admin.ImportAccounts(iter([asked]), timeout=20)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(refusal.value) == "INVALID_QUERY"
    assert violated_field(refusal.value) == "account.geometry_digest"
    assert "got ffffffffffff" in refusal.value.details()


def test_a_message_beyond_the_limit_is_refused(small: SmallBundle, service: Service) -> None:
    """GRPC refuses it before it is read, and the service goes on."""
    asked = request_of(small, np.arange(1), ("bad",), embeddings=bytes(LARGEST))
    for _ in range(2):
        with pytest.raises(grpc.RpcError) as refusal:
            service.sensitivity.Assess(asked, timeout=20)
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert f"vs. {LARGEST}" in refusal.value.details()


def test_the_admin_api_is_not_on_the_main_port(service: Service) -> None:
    """Whoever reaches the port of the front door cannot read ledgers."""
    channel = grpc.insecure_channel(service.process.addresses["address"])
    with pytest.raises(grpc.RpcError) as refusal:
        admin_pb2_grpc.AdminServiceStub(channel).ListAccounts(admin_pb2.ListAccountsRequest())
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED


NAN, INFINITE, NEGATIVE = (
    np.array([[0, odd]], "<f4").tobytes() for odd in (np.nan, np.inf, -np.inf)
)
ONE_OF_THREE = np.array([[0, 0], [1, 1], [0, np.inf]], "<f4").tobytes()
INVALID, EXHAUSTED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED
BAD: list[tuple[str, int, dict[str, object], grpc.StatusCode, str, str]] = [
    ("no rows", 0, {}, INVALID, "expected at least 1 row", "INVALID_QUERY"),
    ("many rows", 65, {}, EXHAUSTED, "expected at most 64 rows, got 65", "BATCH_TOO_LARGE"),
    ("NaN", 1, {"embeddings": NAN}, INVALID, "expected finite", "INVALID_QUERY"),
    ("infinity", 1, {"embeddings": INFINITE}, INVALID, "expected finite", "INVALID_QUERY"),
    ("minus infinity", 1, {"embeddings": NEGATIVE}, INVALID, "expected finite", "INVALID_QUERY"),
    ("1 of 3", 3, {"embeddings": ONE_OF_THREE}, INVALID, "expected finite", "INVALID_QUERY"),
    ("no tensors", 1, {"embeddings": b""}, INVALID, "8 bytes, got 0", "SHAPE_MISMATCH"),
    ("long embeddings", 1, {"embeddings": bytes(12)}, INVALID, "got 12", "SHAPE_MISMATCH"),
    ("no index", 1, {"account_index": b""}, INVALID, "4 bytes, got 0", "SHAPE_MISMATCH"),
    ("short embeddings", 2, {"embeddings": b"1234"}, INVALID, "16 bytes, got 4", "SHAPE_MISMATCH"),
    ("odd labels", 1, {"labels": b"123"}, INVALID, "a multiple of 4 bytes", "SHAPE_MISMATCH"),
    ("long index", 1, {"account_index": bytes(8)}, INVALID, "4 bytes, got 8", "SHAPE_MISMATCH"),
    ("class 4", 1, {"labels": b"\4\0\0\0"}, INVALID, "0..3, got 4", "INVALID_QUERY"),
    ("class -1", 1, {"labels": b"\xff\xff\xff\xff"}, INVALID, "0..3, got -1", "INVALID_QUERY"),
    ("account 1", 1, {"account_index": b"\1\0\0\0"}, INVALID, "0..0, got 1", "INVALID_QUERY"),
    (
        "last account",
        2,
        {"account_index": b"\0\0\0\0\xff\xff\xff\xff"},
        INVALID,
        "0..0, got 4294967295",
        "INVALID_QUERY",
    ),
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
        "long id",
        1,
        {"accounts": [pb.AccountPolicy(account_id="x" * 1025)]},
        INVALID,
        "account id of 1 to 1024 characters, got 1025",
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
        "group budget",
        1,
        {"accounts": [pb.AccountPolicy(account_id="bad", group="g", group_budget=10**9)]},
        INVALID,
        "expected a budget of at most",
        "INVALID_QUERY",
    ),
    (
        "two budgets of one group",
        1,
        {
            "accounts": [
                pb.AccountPolicy(account_id="bad", group="g", group_budget=3),
                pb.AccountPolicy(account_id="good", group="g", group_budget=4),
            ]
        },
        INVALID,
        "expected the same group_budget for all accounts of a group, got two",
        "INVALID_QUERY",
    ),
    (
        "long group",
        1,
        {"accounts": [pb.AccountPolicy(account_id="bad", group="g" * 1025)]},
        INVALID,
        "accounts[0].group: expected at most 1024 characters, got 1025",
        "INVALID_QUERY",
    ),
    (
        "account named like a group",
        1,
        {"accounts": [pb.AccountPolicy(account_id="group g")]},
        INVALID,
        "expected an account id that does not begin with 'group '",
        "INVALID_QUERY",
    ),
    (
        "account named like observed ledgers",
        1,
        {"accounts": [pb.AccountPolicy(account_id="observed a")]},
        INVALID,
        "expected an account id that does not begin with 'observed '",
        "INVALID_QUERY",
    ),
    (
        "scope 9",
        1,
        {"accounts": [pb.AccountPolicy(account_id="bad", scope=9)]},  # type: ignore[arg-type]
        INVALID,
        "accounts[0].scope: expected 0 to 4, got 9",
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
    (
        "no bundle",
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
def test_bad_requests_are_refused_and_ledgers_untouched(
    small: SmallBundle,
    service: Service,
    rows: int,
    changes: dict[str, object],
    refusal: Refusal,
) -> None:
    """Every refusal says expected and got; no account gets a record and the service goes on."""
    # Queries that nobody asked before, which would be recorded.
    asked = request_of(small, 101 + np.arange(rows), ("bad",), **changes)
    with pytest.raises(grpc.RpcError) as caught:
        service.sensitivity.Assess(asked, timeout=20)
    refusal.require(caught.value)
    assert {"expected", "got"} <= set(caught.value.details().split())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 10_000_000}, "expected a budget of at most"),
        ({"state": "postgres://localhost"}, "got postgres://..."),
        ({"state": "redis://localhost:port"}, "another form of host or port"),
        ({"state": "redis://:hidden@localhost:6379"}, "no password on a command line"),
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
    assert "hidden" not in said
    assert said.count("\n") == 1
