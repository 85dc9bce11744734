"""AdminService: operators see and change the ledgers, on a port of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from typing import Any, TypeVar

from queen.api.v1 import admin_pb2 as pb
from queen.api.v1 import admin_pb2_grpc
from queen.bundle import Bundle
from queen_sensitivity.admin.administration import Administration
from queen_sensitivity.admin.audit import Audit
from queen_sensitivity.admin.crossing_feed import CrossingFeed
from queen_sensitivity.admin.decode import (
    read_account_id,
    read_account_ids,
    read_account_token,
    read_audit_token,
    read_budgets,
    read_crossing,
    read_import,
    read_mandate,
    read_page_size,
)
from queen_sensitivity.admin.encode import (
    account_response,
    accounts_response,
    audit_response,
    crossing_response,
    deleted_response,
    export_response,
    links_response,
)
from queen_sensitivity.survey.accounts import AccountReader
from queen_sensitivity.survey.loop import SurveyLoop

T = TypeVar("T")
ADMIN = pb.DESCRIPTOR.services_by_name["AdminService"].full_name
"""Full name of the gRPC service, and of its health."""
READING = frozenset(
    {"ListAccounts", "GetAccount", "WatchCrossings", "ListLinks", "ListAuditEntries"}
)
"""Methods that an operator with the role `read` may call. An export hands out all records at once,
so it is not among them."""


class AdminServicer(admin_pb2_grpc.AdminServiceServicer):
    """Converts and delegates; `working` is a thread apart from the dispatcher's.

    The context of a call has the operator who was admitted, as `caller`.
    """

    def __init__(
        self,
        bundle: Bundle,
        reader: AccountReader,
        administration: Administration,
        audit: Audit,
        feed: CrossingFeed,
        surveys: SurveyLoop,
        working: Executor,
    ) -> None:
        self._bundle = bundle
        self._reader = reader
        self._administration = administration
        self._audit = audit
        self._feed = feed
        self._surveys = surveys
        self._working = working

    async def ListAccounts(  # noqa: N802 - gRPC's name
        self,
        request: pb.ListAccountsRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.ListAccountsResponse:
        """A page of accounts, in order of their id."""
        size, after = read_page_size(request.page_size), read_account_token(request.page_token)
        policies = read_budgets(request.budgets)
        states, has_more = await self._work(self._reader.page, after, size, policies)
        return accounts_response(states, has_more)

    async def GetAccount(  # noqa: N802 - gRPC's name
        self,
        request: pb.GetAccountRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.GetAccountResponse:
        """An account with all its ledgers; NOT_FOUND for an account without records."""
        account_id, policy = read_account_id(request.account_id), read_crossing(request)
        state = await self._work(self._reader.get, account_id, policy)
        return account_response(state, self._bundle.digest)

    async def ResetAccount(  # noqa: N802 - gRPC's name
        self,
        request: pb.ResetAccountRequest,
        context: Any,
    ) -> pb.ResetAccountResponse:
        """Empty ledgers and meter under the geometry in service; NOT_FOUND if unknown."""
        account_id = read_account_id(request.account_id)
        mandate = read_mandate(context.caller.name, request.reason)
        erased = await self._work(self._administration.reset, account_id, mandate)
        return pb.ResetAccountResponse(records_before=erased.records)

    async def DeleteAccount(  # noqa: N802 - gRPC's name
        self,
        request: pb.DeleteAccountRequest,
        context: Any,
    ) -> pb.DeleteAccountResponse:
        """Erase an account under every geometry; NOT_FOUND if unknown."""
        account_id = read_account_id(request.account_id)
        mandate = read_mandate(context.caller.name, request.reason)
        erased = await self._work(self._administration.delete, account_id, mandate)
        return deleted_response(erased)

    async def AuditExemption(  # noqa: N802 - gRPC's name
        self,
        request: pb.AuditExemptionRequest,
        context: Any,
    ) -> pb.AuditExemptionResponse:
        """Put an exemption, or its end, into the audit."""
        account_id = read_account_id(request.account_id)
        mandate = read_mandate(context.caller.name, request.reason)
        audit = self._administration.audit_exemption
        records = await self._work(audit, account_id, request.exempt, mandate)
        return pb.AuditExemptionResponse(records=records)

    async def ExportAccounts(  # noqa: N802 - gRPC's name
        self,
        request: pb.ExportAccountsRequest,
        context: Any,  # noqa: ARG002
    ) -> AsyncIterator[pb.ExportAccountsResponse]:
        """All accounts, or the named accounts; NOT_FOUND at a named account without records."""
        account_ids = read_account_ids(request.account_ids)
        async for account in self._each(self._administration.export(account_ids)):
            yield export_response(account, self._bundle.geometry.digest)

    async def ImportAccounts(  # noqa: N802 - gRPC's name
        self,
        request_iterator: AsyncIterator[pb.ImportAccountsRequest],
        context: Any,
    ) -> pb.ImportAccountsResponse:
        """Add the novel records; nothing is added if anything in the stream is wrong."""
        operator = context.caller.name
        mandate, accounts = await read_import(request_iterator, self._bundle.geometry, operator)
        added, covered = await self._work(self._administration.import_accounts, accounts, mandate)
        return pb.ImportAccountsResponse(
            accounts=len(accounts), records_added=added, records_covered=covered
        )

    async def WatchCrossings(  # noqa: N802 - gRPC's name
        self,
        request: pb.WatchCrossingsRequest,  # noqa: ARG002
        context: Any,
    ) -> AsyncIterator[pb.WatchCrossingsResponse]:
        """Events from now on; the headers are sent once the watch has begun."""
        with self._feed.watching() as watcher:
            await context.send_initial_metadata(())
            while True:
                yield crossing_response(await watcher.next_event())

    async def ListLinks(  # noqa: N802 - gRPC's name
        self,
        request: pb.ListLinksRequest,  # noqa: ARG002
        context: Any,  # noqa: ARG002
    ) -> pb.ListLinksResponse:
        """The last survey and its links."""
        return links_response(self._surveys.latest, self._surveys.every_seconds)

    async def ListAuditEntries(  # noqa: N802 - gRPC's name
        self,
        request: pb.ListAuditEntriesRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.ListAuditEntriesResponse:
        """A page of the audit, oldest first."""
        size, after = read_page_size(request.page_size), read_audit_token(request.page_token)
        entries, has_more = await self._work(self._audit.page, after, size)
        return audit_response(entries, after + size if has_more else 0)

    async def _work(self, act: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._working, act, *arguments)

    async def _each(self, values: Iterator[T]) -> AsyncIterator[T]:
        """The values of an iterator that runs on the working thread."""
        while (value := await self._work(next, values, None)) is not None:
            yield value
