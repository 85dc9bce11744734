"""An admin port that answers as it is told and keeps the requests that it got."""

# ruff: noqa: N802, ARG002 - the names and signatures are gRPC's

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from click.testing import CliRunner, Result

from queen.api.v1 import admin_pb2 as pb
from queen.api.v1 import admin_pb2_grpc
from queen.cli.accounts.command import command

ACCOUNTS = [
    pb.AccountSummary(account_id="acme", records=12, budget_spent=0.5, budget=100),
    pb.AccountSummary(
        account_id="batch", records=40, budget_spent=1.2, crossed_classes=[1], budget=100
    ),
]
ENTRIES = [
    pb.AuditEntry(
        time="noon",
        actor="ana",
        reason=f"ticket {number}",
        action="reset",
        account_hash="ab",
        records_before=number,
    )
    for number in range(2)
]


class AdminPort(admin_pb2_grpc.AdminServiceServicer):
    """Two accounts, an empty survey, and an audit of two entries; each page has one of them."""

    def __init__(self) -> None:
        self.address = ""
        self.requests: list[object] = []
        self.headers: set[str] = set()
        """The `authorization` headers of all calls."""
        self.has_accounts = True
        self.links = pb.ListLinksResponse(survey_seconds=300.0)
        self.bundle_digest = "ab" * 32

    def ListAccounts(self, request, context):
        """A page with one account."""
        self.requests.append(request)
        accounts = ACCOUNTS if self.has_accounts else []
        start = int(request.page_token or 0)
        more = str(start + 1) if start + 1 < len(accounts) else ""
        return pb.ListAccountsResponse(accounts=accounts[start : start + 1], next_page_token=more)

    def GetAccount(self, request, context):
        """The first account with one class, or NOT_FOUND."""
        self.requests.append(request)
        if request.account_id != "acme":
            context.abort(grpc.StatusCode.NOT_FOUND, "expected an account with records")
        ledger = pb.ClassLedger(label=1, cqs=0.25, threshold=0.5, embeddings=bytes(8 * 12))
        return pb.GetAccountResponse(
            summary=ACCOUNTS[0], classes=[ledger], bundle_digest=self.bundle_digest
        )

    def ResetAccount(self, request, context):
        """3 records."""
        self.requests.append(request)
        return pb.ResetAccountResponse(records_before=3)

    def DeleteAccount(self, request, context):
        """4 records under 2 geometries."""
        self.requests.append(request)
        return pb.DeleteAccountResponse(records_before=4, geometries=2)

    def AuditExemption(self, request, context):
        """5 records."""
        self.requests.append(request)
        return pb.AuditExemptionResponse(records=5)

    def ExportAccounts(self, request, context):
        """Both accounts, or those that are named."""
        self.requests.append(request)
        for name in request.account_ids or ["acme", "batch"]:
            yield pb.ExportAccountsResponse(account=pb.AccountRecords(account_id=name))

    def ImportAccounts(self, request_iterator, context):
        """A record is added for each account."""
        requests = list(request_iterator)
        self.requests += requests
        return pb.ImportAccountsResponse(accounts=len(requests), records_added=len(requests))

    def WatchCrossings(self, request, context):
        """A crossing and a gap, and then the end."""
        self.requests.append(request)
        yield pb.WatchCrossingsResponse(
            account_id="acme", crossing=pb.CROSSING_THRESHOLD, label=0, level=1.5, limit=1.0
        )
        yield pb.WatchCrossingsResponse(missed=7)

    def ListLinks(self, request, context):
        """No survey, unless a test makes one."""
        self.requests.append(request)
        return self.links

    def ListAuditEntries(self, request, context):
        """A page with one entry."""
        self.requests.append(request)
        start = int(request.page_token or 0)
        more = str(start + 1) if start + 1 < len(ENTRIES) else ""
        return pb.ListAuditEntriesResponse(entries=ENTRIES[start : start + 1], next_page_token=more)


class _Headers(grpc.ServerInterceptor):
    """Keeps the `authorization` headers of all calls."""

    def __init__(self, headers: set[str]) -> None:
        self._headers = headers

    def intercept_service(self, continuation, handler_call_details):
        """The call as it would be without this."""
        metadata = dict(handler_call_details.invocation_metadata)
        if "authorization" in metadata:
            self._headers.add(metadata["authorization"])
        return continuation(handler_call_details)


@contextmanager
def serving() -> Iterator[AdminPort]:
    """A running admin port."""
    port = AdminPort()
    server = grpc.server(ThreadPoolExecutor(2), interceptors=[_Headers(port.headers)])
    admin_pb2_grpc.add_AdminServiceServicer_to_server(port, server)
    port.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield port
    finally:
        server.stop(0)


def run(port: AdminPort, *words: str) -> Result:
    """`queen accounts` against the port."""
    return CliRunner().invoke(command, [*words, "--admin", port.address])
