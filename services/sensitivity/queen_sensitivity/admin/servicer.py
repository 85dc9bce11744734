"""AdminService: what an operator sees of the ledgers and does to them, on a port of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import asdict
from typing import Any, TypeVar

from queen.api.v1 import admin_pb2 as pb
from queen.api.v1 import admin_pb2_grpc
from queen.errors import BatchTooLarge, InvalidQuery
from queen.method.geometry import Geometry
from queen.wire import tensor_bytes
from queen_sensitivity.admin.administration import Administration
from queen_sensitivity.admin.audit import Audit, Mandate
from queen_sensitivity.admin.crossing_feed import CrossingFeed, Missed, Seen
from queen_sensitivity.admin.decode import (
    page_size,
    read_account_id,
    read_budgets,
    read_mandate,
    read_place,
    read_records,
    read_token,
    write_token,
)
from queen_sensitivity.admin.encode import links_response
from queen_sensitivity.admin.transfer import AccountRecords
from queen_sensitivity.survey.accounts import AccountReader, AccountState
from queen_sensitivity.survey.loop import SurveyLoop

T = TypeVar("T")
EXPORT_PAGE = 64
LARGEST_IMPORT = 256 * 2**20
"""Bytes of one import, which waits in memory until all of it was checked."""


class AdminServicer(admin_pb2_grpc.AdminServiceServicer):
    """Converts and delegates; `working` is a thread apart from the dispatcher's."""

    def __init__(
        self,
        reader: AccountReader,
        administration: Administration,
        audit: Audit,
        feed: CrossingFeed,
        surveys: SurveyLoop,
        geometry: Geometry,
        bundle_digest: str,
        working: Executor,
    ) -> None:
        self._reader = reader
        self._administration = administration
        self._audit = audit
        self._feed = feed
        self._surveys = surveys
        self._geometry = geometry
        self._bundle_digest = bundle_digest
        self._working = working

    async def ListAccounts(  # noqa: N802 - gRPC's name
        self,
        request: pb.ListAccountsRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.ListAccountsResponse:
        """One page of accounts, in order of their id."""
        size, after = page_size(request.page_size), read_token(request.page_token)
        budgets = read_budgets(request.budgets)
        states, has_more = await self._work(self._reader.page, after, size, budgets)
        token = write_token(states[-1].account_id) if has_more else ""
        return pb.ListAccountsResponse(
            accounts=[_summary(state) for state in states], next_page_token=token
        )

    async def GetAccount(  # noqa: N802 - gRPC's name
        self,
        request: pb.GetAccountRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.GetAccountResponse:
        """One account in full; NOT_FOUND for one without records."""
        account_id = read_account_id(request.account_id)
        state = await self._work(self._reader.get, account_id, request.budget)
        return pb.GetAccountResponse(
            summary=_summary(state),
            classes=[_class_ledger(state, label) for label in state.records],
            bundle_digest=self._bundle_digest,
        )

    async def ResetAccount(  # noqa: N802 - gRPC's name
        self,
        request: pb.ResetAccountRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.ResetAccountResponse:
        """Empty ledgers and meter under the geometry in service; NOT_FOUND if unknown."""
        account_id, mandate = read_account_id(request.account_id), read_mandate(request)
        erased = await self._work(self._administration.reset, account_id, mandate)
        return pb.ResetAccountResponse(records_before=erased.records)

    async def DeleteAccount(  # noqa: N802 - gRPC's name
        self,
        request: pb.DeleteAccountRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.DeleteAccountResponse:
        """Erase an account under every geometry; NOT_FOUND if unknown."""
        account_id, mandate = read_account_id(request.account_id), read_mandate(request)
        erased = await self._work(self._administration.delete, account_id, mandate)
        return pb.DeleteAccountResponse(records_before=erased.records, geometries=erased.geometries)

    async def AuditExemption(  # noqa: N802 - gRPC's name
        self,
        request: pb.AuditExemptionRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.AuditExemptionResponse:
        """Put an exemption, or its end, into the audit."""
        account_id, mandate = read_account_id(request.account_id), read_mandate(request)
        told = self._administration.audit_exemption
        records = await self._work(told, account_id, request.exempt, mandate)
        return pb.AuditExemptionResponse(records=records)

    async def ExportAccounts(  # noqa: N802 - gRPC's name
        self,
        request: pb.ExportAccountsRequest,
        context: Any,  # noqa: ARG002
    ) -> AsyncIterator[pb.ExportAccountsResponse]:
        """All accounts, or those that are named; NOT_FOUND at one that has no records."""
        names = [read_account_id(name, "account_ids") for name in request.account_ids]
        for name in names:
            yield self._exported(await self._work(self._administration.export_named, name))
        after = ""
        while not names:
            page = await self._work(self._administration.export_page, after, EXPORT_PAGE)
            for account in page:
                yield self._exported(account)
            if len(page) < EXPORT_PAGE:
                return
            after = page[-1].account_id

    async def ImportAccounts(  # noqa: N802 - gRPC's name
        self,
        request_iterator: AsyncIterator[pb.ImportAccountsRequest],
        context: Any,  # noqa: ARG002
    ) -> pb.ImportAccountsResponse:
        """Add records as far as they are novel; nothing, if anything in the stream is wrong."""
        mandate: Mandate | None = None
        accounts: list[AccountRecords] = []
        left = LARGEST_IMPORT
        async for request in request_iterator:
            mandate = mandate or read_mandate(request)
            left -= request.ByteSize()
            if left < 0:
                raise BatchTooLarge(f"expected at most {LARGEST_IMPORT} bytes, got more; split it")
            accounts.append(read_records(request.account, self._geometry))
        if mandate is None:
            raise InvalidQuery("expected at least 1 account, got none", field="account")
        outcome = await self._work(self._administration.take_over, accounts, mandate)
        return pb.ImportAccountsResponse(
            accounts=len(accounts), records_added=outcome.added, records_covered=outcome.covered
        )

    async def WatchCrossings(  # noqa: N802 - gRPC's name
        self,
        request: pb.WatchCrossingsRequest,  # noqa: ARG002
        context: Any,
    ) -> AsyncIterator[pb.WatchCrossingsResponse]:
        """Events from now on; the headers say that the watch has begun."""
        with self._feed.watching() as watcher:
            await context.send_initial_metadata(())
            while True:
                yield _event(await watcher.take())

    async def ListLinks(  # noqa: N802 - gRPC's name
        self,
        request: pb.ListLinksRequest,  # noqa: ARG002
        context: Any,  # noqa: ARG002
    ) -> pb.ListLinksResponse:
        """What the last survey found."""
        return links_response(self._surveys.latest, self._surveys.every_seconds)

    async def ListAuditEntries(  # noqa: N802 - gRPC's name
        self,
        request: pb.ListAuditEntriesRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.ListAuditEntriesResponse:
        """One page of the audit, oldest first."""
        size, after = page_size(request.page_size), read_place(request.page_token)
        entries, has_more = await self._work(self._audit.page, after, size)
        return pb.ListAuditEntriesResponse(
            entries=[pb.AuditEntry(**asdict(entry)) for entry in entries],
            next_page_token=write_token(str(after + size)) if has_more else "",
        )

    async def _work(self, act: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._working, act, *arguments)

    def _exported(self, account: AccountRecords) -> pb.ExportAccountsResponse:
        classes = [
            pb.ClassRecords(label=label, embeddings=tensor_bytes(records))
            for label, records in sorted(account.classes.items())
        ]
        return pb.ExportAccountsResponse(
            account=pb.AccountRecords(
                account_id=account.account_id,
                geometry_digest=self._geometry.digest,
                classes=classes,
                marks=account.marks,
            )
        )


def _event(event: Seen | Missed) -> pb.WatchCrossingsResponse:
    if isinstance(event, Missed):
        return pb.WatchCrossingsResponse(missed=event.count)
    crossing = event.crossing
    is_class = crossing.label is not None
    return pb.WatchCrossingsResponse(
        time_unix_nanos=event.time_unix_nanos,
        account_id=crossing.account_id,
        crossing=pb.CROSSING_THRESHOLD if is_class else pb.CROSSING_OFF_DISTRIBUTION,
        label=crossing.label or 0,
        level=crossing.level,
        limit=crossing.limit,
    )


def _summary(state: AccountState) -> pb.AccountSummary:
    return pb.AccountSummary(
        account_id=state.account_id,
        records=state.record_count,
        crossed_classes=state.crossed,
        budget_spent=state.budget_spent,
        off_distribution=state.off_distribution,
        budget=state.budget,
    )


def _class_ledger(state: AccountState, label: int) -> pb.ClassLedger:
    return pb.ClassLedger(
        label=label,
        cqs=state.cqs[label],
        threshold=float(state.thresholds[label]),
        embeddings=tensor_bytes(state.records[label]),
    )
