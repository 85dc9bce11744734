"""The admin API over gRPC, in one process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from queen_sensitivity.admin.administration import Administration
from queen_sensitivity.admin.audit import Audit
from queen_sensitivity.admin.crossing_feed import CrossingFeed
from queen_sensitivity.admin.servicer import AdminServicer
from queen_sensitivity.engine.crossings import Crossing, CrossingKind
from queen_sensitivity.ledger_store import Append, LedgerKey, MemoryLedgerStore
from queen_sensitivity.survey.accounts import AccountReader
from queen_sensitivity.survey.loop import SurveyLoop

from queen.api.v1 import admin_pb2 as pb
from queen.api.v1 import admin_pb2_grpc
from queen.bundle import Bundle, open_bundle
from queen.method.crossing import Thresholds, published
from queen.serving.edge.calls import CallsInWork
from queen.serving.edge.grpc_server import Counts, GrpcServer
from queen.serving.edge.terms import Gate, Terms
from queen.serving.interceptors import Edge, ObservedServer
from queen.serving.metrics import Metrics
from queen.serving.ports.operators import Operator, Role
from tests.bundles import make_bundle
from tests.toy_server import LIMITS

NAMES = ["a", "b", "c"]
BECAUSE = {"reason": "ticket 7"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle in service."""
    return open_bundle(make_bundle(tmp_path_factory.mktemp("bundle") / "b").path)


def admit_ana(_method: str, _context: Any) -> Operator:
    """Admit every call as Ana's."""
    return Operator("ana", Role.ACT)


@dataclass
class Service:
    """A running service, with the parts behind it."""

    stub: admin_pb2_grpc.AdminServiceStub
    store: MemoryLedgerStore
    feed: CrossingFeed


@asynccontextmanager
async def serving(bundle: Bundle) -> AsyncIterator[Service]:
    """A server whose store has three accounts with a record each."""
    store, geometry = MemoryLedgerStore(), bundle.geometry
    record = geometry.cluster_centers[:1]
    store.append_many([Append(LedgerKey(name, geometry.digest, 0), 0, record) for name in NAMES])
    thresholds = Thresholds(geometry, bundle.mean_squared_sqs, published(20))
    audit, feed = Audit(store), CrossingFeed(asyncio.get_running_loop())
    with ThreadPoolExecutor(1) as working:
        servicer = AdminServicer(
            bundle,
            AccountReader(geometry, thresholds, store, bundle.meter),
            Administration(geometry, store, audit, lambda _: None),
            audit,
            feed,
            SurveyLoop(lambda _: None, 300.0, threading.Event()),
            working,
        )
        metrics, loop = Metrics(), asyncio.get_running_loop()
        server = GrpcServer([], Counts(metrics.unknown_methods.inc))
        calls = CallsInWork(LIMITS, lambda _why: None, loop.time, loop.call_later)
        observed = ObservedServer(server, metrics, Edge(calls, Gate(), Terms(admit_ana)))
        admin_pb2_grpc.add_AdminServiceServicer_to_server(servicer, observed)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Service(admin_pb2_grpc.AdminServiceStub(channel), store, feed)
        await server.stop(0)


async def test_pages_of_accounts_follow_one_another(bundle: Bundle) -> None:
    """Each token leads to the next page, and the last page has none."""
    async with serving(bundle) as service:
        names, token = [], ""
        for _ in range(2):
            request = pb.ListAccountsRequest(page_size=2, page_token=token)
            page = await service.stub.ListAccounts(request)
            names += [account.account_id for account in page.accounts]
            token = page.next_page_token
    assert (names, token) == (NAMES, "")


async def test_an_account_is_shown_reset_and_deleted(bundle: Bundle) -> None:
    """Each change says how much it removed, and is in the audit with its actor."""
    async with serving(bundle) as service:
        shown = await service.stub.GetAccount(pb.GetAccountRequest(account_id="a"))
        reset = await service.stub.ResetAccount(pb.ResetAccountRequest(account_id="a", **BECAUSE))
        deletion = pb.DeleteAccountRequest(account_id="b", **BECAUSE)
        deleted = await service.stub.DeleteAccount(deletion)
        exemption = pb.AuditExemptionRequest(account_id="c", exempt=True, **BECAUSE)
        audited = await service.stub.AuditExemption(exemption)
        page = await service.stub.ListAuditEntries(pb.ListAuditEntriesRequest(page_size=2))
        rest = await service.stub.ListAuditEntries(
            pb.ListAuditEntriesRequest(page_token=page.next_page_token)
        )
        left = service.store.list_accounts(bundle.geometry.digest, "", 9)
    assert (shown.summary.records, shown.bundle_digest) == (1, bundle.digest)
    assert (reset.records_before, deleted.records_before, audited.records) == (1, 1, 1)
    assert left == ["c"]
    entries = [*page.entries, *rest.entries]
    assert [entry.action for entry in entries] == ["reset", "delete", "exempt"]
    assert {entry.actor for entry in entries} == {"ana"}
    assert rest.next_page_token == ""


async def test_an_export_is_imported(bundle: Bundle) -> None:
    """A second import of the same accounts adds nothing."""
    async with serving(bundle) as service:
        export = service.stub.ExportAccounts(pb.ExportAccountsRequest())
        accounts = [answer.account async for answer in export]
        assert [account.account_id for account in accounts] == NAMES
        for account in accounts:
            account.account_id += "-copy"
        requests = [pb.ImportAccountsRequest(account=account, **BECAUSE) for account in accounts]
        first = await service.stub.ImportAccounts(iter(requests))
        second = await service.stub.ImportAccounts(iter(requests))
    assert (first.accounts, first.records_added, first.records_covered) == (3, 3, 0)
    assert (second.records_added, second.records_covered) == (0, 3)


async def test_a_watch_has_begun_once_its_headers_are_there(bundle: Bundle) -> None:
    """No event after them is missed."""
    async with serving(bundle) as service:
        watch = service.stub.WatchCrossings(pb.WatchCrossingsRequest())
        await watch.initial_metadata()
        service.feed.publish([Crossing(CrossingKind.THRESHOLD, "a", 1, 1.5, 1.0)])
        event = await watch.read()
        watch.cancel()
    assert (event.account_id, event.label) == ("a", 1)


async def test_links_before_the_first_survey_are_none(bundle: Bundle) -> None:
    """The answer says how often surveys are made."""
    async with serving(bundle) as service:
        answer = await service.stub.ListLinks(pb.ListLinksRequest())
    assert answer == pb.ListLinksResponse(survey_seconds=300.0)
