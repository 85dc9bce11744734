"""What the sensitivity service refuses, and what it says."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from queen.api.v1 import admin_pb2, admin_pb2_grpc
from queen.api.v1 import sensitivity_pb2 as pb
from tests.bundles import SmallBundle
from tests.integration.leaf_processes import reason_of, run_refused, violated_field
from tests.integration.sensitivity_calls import (
    Service,
    get_records,
    request_of,
    small_bundle,
    small_service,
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBundle:
    """The bundle that all tests serve."""
    return small_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def service(small: SmallBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One process for all tests of this module."""
    with small_service(small, tmp_path_factory.mktemp("state")) as running:
        yield running


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


def test_the_admin_api_is_not_on_the_main_port(service: Service) -> None:
    """Whoever reaches the port of the front door cannot read ledgers."""
    channel = grpc.insecure_channel(service.process.addresses["address"])
    with pytest.raises(grpc.RpcError) as refusal:
        admin_pb2_grpc.AdminServiceStub(channel).ListAccounts(admin_pb2.ListAccountsRequest())
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED


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
        "expected one group_budget for each group, got two",
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
        "scope 9",
        1,
        {"accounts": [pb.AccountPolicy(account_id="bad", scope=9)]},  # type: ignore[arg-type]
        INVALID,
        "accounts[0].scope: expected 0 to 3, got 9",
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 10_000_000}, "expected a budget of at most"),
        ({"state": "postgres://me:hidden@localhost"}, "got postgres://..."),
        ({"state": "redis://:hidden@localhost:1"}, "Redis at localhost:1 did not answer"),
        ({"state": "redis://:hidden@localhost:port"}, "another form of host or port"),
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
