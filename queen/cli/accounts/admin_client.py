"""A client of AdminService: what the ledgers say of the accounts, and what is done to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Self

import grpc
import numpy as np
from numpy.typing import NDArray

from queen.api.v1 import admin_pb2 as pb
from queen.api.v1 import admin_pb2_grpc
from queen.wire import read_tensor

PAGE = 500


@dataclass(frozen=True)
class Spent:
    """What an account, or a group under the id "group NAME", has spent of its budgets."""

    account_id: str
    records: int
    crossed: tuple[int, ...]
    """Classes whose budget is spent."""
    share: float
    """Of the budget, in the class where most is spent; above 1 it is spent."""
    off_distribution: float = 0.0
    """Highest level of the off-distribution meter over its limit; at 1 it is off for good."""
    budget: int = 0
    """What it is measured against, in records of a class; 0 from a service that does not say."""


@dataclass(frozen=True, eq=False)
class ClassRecords:
    """One class of one account: cqs, threshold T, and recorded embeddings (M E,)."""

    label: int
    cqs: float
    threshold: float
    embeddings: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Ledger:
    """One account in full."""

    spent: Spent
    classes: tuple[ClassRecords, ...]
    bundle_digest: str


class AdminClient:
    """Asks the admin port of one sensitivity service. Its errors are grpc.RpcError."""

    def __init__(self, address: str, *, timeout_seconds: float = 30.0) -> None:
        options = [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)]
        self._channel = grpc.insecure_channel(address, options=options)
        self._stub = admin_pb2_grpc.AdminServiceStub(self._channel)
        self._timeout = timeout_seconds

    def accounts(self, budgets: Mapping[str, int] = MappingProxyType({})) -> Iterator[Spent]:
        """All accounts that have a ledger, in order of their id.

        Each is measured against its budget in `budgets`, or the service's default.
        """
        token = ""
        own = [pb.AccountBudget(account_id=name, budget=budgets[name]) for name in budgets]
        while True:
            request = pb.ListAccountsRequest(page_size=PAGE, page_token=token, budgets=own)
            page = self._stub.ListAccounts(request, timeout=self._timeout)
            yield from map(_spent, page.accounts)
            token = page.next_page_token
            if not token:
                return

    def ledger(self, account_id: str, budget: int = 0) -> Ledger:
        """One account's ledger, measured against a budget, 0 for the service's default."""
        answer = self._stub.GetAccount(
            pb.GetAccountRequest(account_id=account_id, budget=budget), timeout=self._timeout
        )
        classes = tuple(
            ClassRecords(one.label, one.cqs, one.threshold, _embeddings(one))
            for one in answer.classes
        )
        return Ledger(_spent(answer.summary), classes, answer.bundle_digest)

    def reset(self, account_id: str, actor: str, reason: str) -> int:
        """Empty an account's ledgers; the records that were there."""
        request = pb.ResetAccountRequest(account_id=account_id, actor=actor, reason=reason)
        answer = self._stub.ResetAccount(request, timeout=self._timeout)
        return int(answer.records_before)

    def delete(self, account_id: str, actor: str, reason: str) -> pb.DeleteAccountResponse:
        """Erase an account."""
        request = pb.DeleteAccountRequest(account_id=account_id, actor=actor, reason=reason)
        answer: pb.DeleteAccountResponse = self._stub.DeleteAccount(request, timeout=self._timeout)
        return answer

    def audit_exemption(self, account_id: str, is_exempt: bool, actor: str, reason: str) -> int:
        """Put an exemption, or its end, into the audit; the account's records by now."""
        request = pb.AuditExemptionRequest(
            account_id=account_id, actor=actor, reason=reason, exempt=is_exempt
        )
        return int(self._stub.AuditExemption(request, timeout=self._timeout).records)

    def export(self, account_ids: Sequence[str] = ()) -> Iterator[pb.AccountRecords]:
        """The records of all accounts, or of those that are named."""
        for answer in self._stub.ExportAccounts(pb.ExportAccountsRequest(account_ids=account_ids)):
            yield answer.account

    def import_accounts(
        self, accounts: Iterable[pb.AccountRecords], actor: str, reason: str
    ) -> pb.ImportAccountsResponse:
        """Add records as far as they are novel."""
        requests = (
            pb.ImportAccountsRequest(actor=actor, reason=reason, account=account)
            for account in accounts
        )
        answer: pb.ImportAccountsResponse = self._stub.ImportAccounts(requests)
        return answer

    def links(self) -> pb.ListLinksResponse:
        """What the last survey of all accounts found."""
        answer: pb.ListLinksResponse = self._stub.ListLinks(
            pb.ListLinksRequest(), timeout=self._timeout
        )
        return answer

    def crossings(
        self, begun: Callable[[], None] = lambda: None
    ) -> Iterator[pb.WatchCrossingsResponse]:
        """Events from now on; `begun` is called once none can be missed any more."""
        watch = self._stub.WatchCrossings(pb.WatchCrossingsRequest())
        watch.initial_metadata()
        # The headers of a call that failed are empty, and no error.
        if watch.is_active():
            begun()
        yield from watch

    def audit(self) -> Iterator[pb.AuditEntry]:
        """All entries of the audit, oldest first."""
        token = ""
        while True:
            request = pb.ListAuditEntriesRequest(page_size=PAGE, page_token=token)
            page = self._stub.ListAuditEntries(request, timeout=self._timeout)
            yield from page.entries
            token = page.next_page_token
            if not token:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._channel.close()


def _spent(summary: pb.AccountSummary) -> Spent:
    return Spent(
        summary.account_id,
        summary.records,
        tuple(summary.crossed_classes),
        summary.budget_spent,
        summary.off_distribution,
        summary.budget,
    )


def _embeddings(ledger: pb.ClassLedger) -> NDArray[np.float32]:
    # The wire does not say the width E; the bundle does.
    return read_tensor(ledger.embeddings, "<f4", (-1,), "embeddings")
