"""A client of AdminService, the admin API of a sensitivity service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self, TypeVar

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message

from queen.api.v1 import admin_pb2 as pb
from queen.api.v1 import admin_pb2_grpc
from queen.cli.accounts.admin_values import (
    Account,
    AccountSummary,
    ClassLedger,
    Crossing,
    Deleted,
    Imported,
    Link,
    Missed,
    Survey,
    SurveyedLinks,
)
from queen.errors import InvalidQuery
from queen.method.crossing import UNSTATED, CrossingPolicy
from queen.operators import AuditEntry
from queen.serving.ports.credentials import channel_credentials
from queen.serving.ports.pem import Pems
from queen.wire import read_tensor

PAGE_SIZE = 500
"""Accounts, or entries of the audit, that a call returns at most."""

Value = TypeVar("Value")


@dataclass(frozen=True)
class Credential:
    """The key of an operator, and the PEM files of a connection with TLS."""

    key: str | None = None
    tls: Pems | None = None


ANONYMOUS = Credential()


class AdminClient:
    """Calls the admin port of one sensitivity service. Its errors are grpc.RpcError."""

    def __init__(
        self, address: str, credential: Credential = ANONYMOUS, *, timeout_seconds: float = 30.0
    ) -> None:
        options = [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)]
        self._channel = (
            grpc.insecure_channel(address, options=options)
            if credential.tls is None
            else grpc.secure_channel(address, channel_credentials(credential.tls), options=options)
        )
        key = credential.key
        self._metadata = [("authorization", f"Bearer {key}")] if key else []
        self._stub = admin_pb2_grpc.AdminServiceStub(self._channel)
        self._timeout = timeout_seconds

    def accounts(
        self, policies: Mapping[str, CrossingPolicy] = MappingProxyType({})
    ) -> Iterator[AccountSummary]:
        """All accounts that have a ledger, in order of their id.

        Each is judged by its policy in `policies`, or the service's default.
        """
        own = [
            pb.AccountBudget(account_id=name, **policy._asdict())
            for name, policy in policies.items()
        ]
        for page in self._pages(self._stub.ListAccounts, pb.ListAccountsRequest(budgets=own)):
            yield from map(summary_of, page.accounts)

    def account(self, account_id: str, policy: CrossingPolicy = UNSTATED) -> Account:
        """An account, judged by a policy, with the service's choices in place of 0."""
        request = pb.GetAccountRequest(account_id=account_id, **policy._asdict())
        answer = self._stub.GetAccount(request, timeout=self._timeout, metadata=self._metadata)
        classes = tuple(map(_class_ledger, answer.classes))
        return Account(summary_of(answer.summary), classes, answer.bundle_digest)

    def reset(self, account_id: str, reason: str) -> int:
        """Empty an account's ledgers; returns how many records they had."""
        request = pb.ResetAccountRequest(account_id=account_id, reason=reason)
        answer = self._stub.ResetAccount(request, timeout=self._timeout, metadata=self._metadata)
        return int(answer.records_before)

    def delete(self, account_id: str, reason: str) -> Deleted:
        """Erase an account under every bundle."""
        request = pb.DeleteAccountRequest(account_id=account_id, reason=reason)
        answer = self._stub.DeleteAccount(request, timeout=self._timeout, metadata=self._metadata)
        return Deleted(answer.records_before, answer.geometries)

    def audit_exemption(self, account_id: str, is_exempt: bool, reason: str) -> int:
        """Put an exemption, or its end, into the audit; returns the account's records."""
        request = pb.AuditExemptionRequest(account_id=account_id, exempt=is_exempt, reason=reason)
        return int(
            self._stub.AuditExemption(
                request, timeout=self._timeout, metadata=self._metadata
            ).records
        )

    def export_lines(self, account_ids: Sequence[str] = ()) -> Iterator[str]:
        """The records of all accounts, or of the named accounts; a JSON text for each account."""
        request = pb.ExportAccountsRequest(account_ids=account_ids)
        for answer in self._stub.ExportAccounts(request, metadata=self._metadata):
            yield json_format.MessageToJson(answer.account, indent=None)

    def import_lines(self, lines: Iterable[str], reason: str) -> Imported:
        """Add the novel records of an export; InvalidQuery, before any call, for another text."""
        requests = [
            pb.ImportAccountsRequest(account=parse_exported(line_number, line), reason=reason)
            for line_number, line in enumerate(lines, 1)
        ]
        answer = self._stub.ImportAccounts(iter(requests), metadata=self._metadata)
        return Imported(answer.accounts, answer.records_added, answer.records_covered)

    def links(self) -> SurveyedLinks:
        """The last survey of all accounts, and the links that it suggests."""
        answer = self._stub.ListLinks(
            pb.ListLinksRequest(), timeout=self._timeout, metadata=self._metadata
        )
        return SurveyedLinks(
            _value(Survey, answer.survey) if answer.HasField("survey") else None,
            tuple(_value(Link, link) for link in answer.links),
            answer.survey_seconds,
        )

    def crossings(self, begun: Callable[[], None] = lambda: None) -> Iterator[Crossing | Missed]:
        """Events from now on; `begun` is called once no later event can be missed."""
        watch = self._stub.WatchCrossings(pb.WatchCrossingsRequest(), metadata=self._metadata)
        watch.initial_metadata()
        # A failed call has empty headers and raises nothing until it is read.
        if watch.is_active():
            begun()
        yield from map(event_of, watch)

    def audit(self) -> Iterator[AuditEntry]:
        """All entries of the audit, oldest first."""
        for page in self._pages(self._stub.ListAuditEntries, pb.ListAuditEntriesRequest()):
            for entry in page.entries:
                yield _value(AuditEntry, entry)

    def _pages(self, call: Callable[..., Any], request: Any) -> Iterator[Any]:
        """The answers to a request, page after page."""
        request.page_size = PAGE_SIZE
        while True:
            page = call(request, timeout=self._timeout, metadata=self._metadata)
            yield page
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._channel.close()


def summary_of(message: pb.AccountSummary) -> AccountSummary:
    """The summary of an account."""
    return AccountSummary(
        message.account_id,
        message.records,
        tuple(message.crossed_classes),
        message.budget_spent,
        message.off_distribution,
        message.budget,
        message.over_budget,
        message.needed_classes,
        message.class_cap,
    )


def event_of(message: pb.WatchCrossingsResponse) -> Crossing | Missed:
    """An event of a watch."""
    if message.missed:
        return Missed(message.missed)
    kind = pb.Crossing.Name(message.crossing).removeprefix("CROSSING_").lower()
    return Crossing(
        message.time_unix_nanos,
        message.account_id,
        kind.replace("_", " "),
        message.label,
        message.level,
        message.limit,
    )


def _class_ledger(message: pb.ClassLedger) -> ClassLedger:
    # The wire does not say the width E; the bundle does.
    embeddings = read_tensor(message.embeddings, "<f4", (-1,), "embeddings")
    return ClassLedger(message.label, message.cqs, message.threshold, embeddings)


def parse_exported(line_number: int, line: str) -> pb.AccountRecords:
    """An account of an export, from its line; InvalidQuery for another text."""
    try:
        return json_format.Parse(line, pb.AccountRecords())
    except json_format.ParseError as error:
        raise InvalidQuery(
            f"line {line_number}: expected an account as 'queen accounts export' writes it, "
            "got another text"
        ) from error


def _value(kind: Callable[..., Value], message: Message) -> Value:
    """A value made of the fields of a message, which have the same names."""
    return kind(**{field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields})
