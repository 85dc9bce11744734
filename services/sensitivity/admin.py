"""AdminService: the ledgers, read-only, on a port of their own."""

from __future__ import annotations

import asyncio
import base64
import binascii
from concurrent.futures import Executor
from typing import Any

from queen.api.v1 import admin_pb2 as pb
from queen.api.v1 import admin_pb2_grpc
from queen.errors import InvalidQuery
from queen.wire import tensor_bytes

from .accounts import AccountReader, AccountState

DEFAULT_PAGE = 100
LARGEST_PAGE = 1000


class AdminServicer(admin_pb2_grpc.AdminServiceServicer):
    """Lists accounts and shows one; `reading` is a thread apart from the dispatcher's."""

    def __init__(self, reader: AccountReader, bundle_digest: str, reading: Executor) -> None:
        self._reader = reader
        self._bundle_digest = bundle_digest
        self._reading = reading

    async def ListAccounts(  # noqa: N802 - gRPC's name
        self,
        request: pb.ListAccountsRequest,
        context: Any,  # noqa: ARG002
    ) -> pb.ListAccountsResponse:
        """One page of accounts, in order of their id."""
        size, after = page_size(request.page_size), read_token(request.page_token)
        states, has_more = await asyncio.get_running_loop().run_in_executor(
            self._reading, self._reader.page, after, size
        )
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
        if not request.account_id:
            raise InvalidQuery("account_id: expected an account, got none", field="account_id")
        state = await asyncio.get_running_loop().run_in_executor(
            self._reading, self._reader.get, request.account_id
        )
        return pb.GetAccountResponse(
            summary=_summary(state),
            classes=[_class_ledger(state, label) for label in state.records],
            bundle_digest=self._bundle_digest,
        )


def page_size(asked: int) -> int:
    """Accounts on a page; InvalidQuery outside 0 to 1000."""
    if not 0 <= asked <= LARGEST_PAGE:
        raise InvalidQuery(
            f"page_size: expected 0 to {LARGEST_PAGE}, got {asked}", field="page_size"
        )
    return asked or DEFAULT_PAGE


def write_token(account_id: str) -> str:
    """Token of the page that begins above `account_id`; opaque, so that it may change."""
    return base64.urlsafe_b64encode(account_id.encode()).decode()


def read_token(token: str) -> str:
    """The account id in a page token; InvalidQuery for a token that we did not make."""
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise InvalidQuery(
            "page_token: expected a next_page_token of this service, got another text",
            field="page_token",
        ) from error


def _summary(state: AccountState) -> pb.AccountSummary:
    return pb.AccountSummary(
        account_id=state.account_id,
        records=state.record_count,
        crossed_classes=state.crossed,
        budget_spent=state.budget_spent,
        off_distribution=state.off_distribution,
    )


def _class_ledger(state: AccountState, label: int) -> pb.ClassLedger:
    return pb.ClassLedger(
        label=label,
        cqs=state.cqs[label],
        threshold=float(state.thresholds[label]),
        embeddings=tensor_bytes(state.records[label]),
    )
