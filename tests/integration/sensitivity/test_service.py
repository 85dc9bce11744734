"""The sensitivity service as a real process over real gRPC."""

from __future__ import annotations

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2

from queen.api.v1 import admin_pb2
from queen.api.v1 import sensitivity_pb2 as pb
from queen.bundle import open_bundle
from queen.method.enforcement import Cause
from queen.method.geometry import Geometry
from queen.method.ledger import Verdict
from queen.method.neighbors import nearest_distances
from tests.bundles import SmallBundle
from tests.integration.sensitivity.calls import (
    Service,
    get_records,
    request_of,
)


def geometry_of(small: SmallBundle) -> Geometry:
    """The geometry that is served."""
    return open_bundle(small.path).geometry


def test_a_stream_is_recorded_reversed_and_replayed(small: SmallBundle, service: Service) -> None:
    """An account crosses its budget; its records keep their distance; a replay adds none."""
    rows = np.arange(400)
    verdicts = []
    for start in range(0, 400, 50):
        answer = service.sensitivity.Assess(
            request_of(small, rows[start : start + 50], ("heavy",), with_facts=True), timeout=10
        )
        verdicts += list(answer.verdicts)
        assert len(answer.sqs) == 4 * 50
        for name in ("distances", "cqs_before", "cqs_after"):
            assert len(getattr(answer.facts, name)) == 8 * 50
        is_reversed = np.frombuffer(answer.verdicts, "u1") == Verdict.REVERSE
        assert list(answer.causes) == (Cause.ACCOUNT * is_reversed).tolist()
    assert set(verdicts) == {Verdict.PRESERVE, Verdict.RECORD, Verdict.REVERSE}

    records = get_records(service, "heavy")
    geometry = geometry_of(small)
    assert sum(map(len, records.values())) == verdicts.count(Verdict.RECORD)
    for label, kept in records.items():
        for position in range(1, len(kept)):
            nearest = nearest_distances(kept[:position], kept[position : position + 1])[0]
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
    names = tuple(f"page-{index}" for index in range(7))
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


def test_a_group_is_charged_and_listed_beside_its_accounts(
    small: SmallBundle, service: Service
) -> None:
    """Two accounts that are each within their budget spend that of their group."""
    policies = [
        pb.AccountPolicy(account_id=name, budget=60, group="two of us", scope=pb.SCOPE_ACCOUNT)
        for name in ("one-of-us", "other-of-us")
    ]
    causes = b""
    for start in range(0, 400, 50):
        rows = np.random.default_rng(start).integers(0, 400, 50)
        request = request_of(small, rows, ("one-of-us", "other-of-us"), accounts=policies)
        causes += service.sensitivity.Assess(request, timeout=10).causes
    assert causes[-1] == Cause.GROUP
    answer = service.admin.GetAccount(admin_pb2.GetAccountRequest(account_id="group two of us"))
    assert answer.summary.records == sum(map(len, get_records(service, "group two of us").values()))
    assert answer.summary.crossed_classes
    assert get_records(service, "one-of-us")
    assert get_records(service, "other-of-us")


def test_tail_queries_move_the_meter_that_the_admin_shows(
    small: SmallBundle, service: Service
) -> None:
    """An account that asks far from every region is off-distribution, without a record."""
    rows = np.arange(50)
    far = 100.0 + small.model.embeddings(small.inputs[rows])
    policy = pb.AccountPolicy(account_id="stray", scope=pb.SCOPE_ACCOUNT)
    answer = service.sensitivity.Assess(
        request_of(
            small, rows, ("stray",), accounts=[policy], embeddings=far.astype("<f4").tobytes()
        ),
        timeout=10,
    )
    assert answer.causes[-1] == Cause.OFF_DISTRIBUTION
    assert answer.verdicts[-1] == Verdict.REVERSE
    shown = service.admin.GetAccount(admin_pb2.GetAccountRequest(account_id="stray"))
    assert shown.summary.off_distribution >= 1
    assert (shown.summary.records, len(shown.classes)) == (0, 0)
    listed = service.admin.ListAccounts(admin_pb2.ListAccountsRequest())
    levels = {account.account_id: account.off_distribution for account in listed.accounts}
    assert levels["stray"] == shown.summary.off_distribution


def test_an_unknown_account_is_not_found_and_its_name_not_repeated(service: Service) -> None:
    """Asking for an account makes none."""
    with pytest.raises(grpc.RpcError) as refusal:
        service.admin.GetAccount(admin_pb2.GetAccountRequest(account_id="nobody-here"))
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND
    assert "nobody-here" not in refusal.value.details()


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
