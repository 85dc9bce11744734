"""Decodes the admin API's requests; a request is checked in full before it changes anything.

Every function raises InvalidQuery, with the name of the field, for a value that it refuses.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from queen.api.v1 import admin_pb2 as pb
from queen.errors import BatchTooLarge, InvalidQuery
from queen.method.answers.fingerprint import LARGEST_FINGERPRINT
from queen.method.crossing import CrossingPolicy
from queen.method.geometry import Geometry
from queen.method.sensitivity import Charge, center_distances, sensitive_rows
from queen.operators import Mandate
from queen.owners import LONGEST_OWNER
from queen.wire import read_tensor, require_finite
from queen_sensitivity.admin.transfer import AccountRecords
from queen_sensitivity.ledger_store import Records

DEFAULT_PAGE = 100
LARGEST_PAGE = 1000
LONGEST_REASON = 1024
LARGEST_IMPORT = 256 * 2**20
"""Bytes of one import, which waits in memory until all of it is checked."""
_LARGEST_LEVEL = float(np.finfo(np.float32).max)
"""The meter computes in float32."""


class Import(NamedTuple):
    """The accounts of an import, and the mandate of its first request."""

    mandate: Mandate
    accounts: Sequence[AccountRecords]


def read_account_id(account_id: str, field: str = "account_id") -> str:
    """`account_id` if it may name an owner."""
    if not account_id:
        raise InvalidQuery(f"{field}: expected an account, got none", field=field)
    _require_length(account_id, LONGEST_OWNER, field)
    return account_id


def read_account_ids(account_ids: Iterable[str]) -> list[str]:
    """The accounts that an export names."""
    return [read_account_id(account_id, "account_ids") for account_id in account_ids]


class Measured(Protocol):
    """A message with a crossing policy, 0 for the service's own."""

    budget: int
    breadth: int
    class_cap: int


def read_crossing(message: Measured) -> CrossingPolicy:
    """The crossing policy of a message."""
    return CrossingPolicy(message.budget, message.breadth, message.class_cap)


def read_budgets(messages: Sequence[pb.AccountBudget]) -> dict[str, CrossingPolicy]:
    """Crossing policies by account; no account may have two."""
    budgets = {
        read_account_id(message.account_id, "budgets"): read_crossing(message)
        for message in messages
    }
    if len(budgets) < len(messages):
        raise InvalidQuery(
            f"budgets: expected each account at most once, got {len(messages)} budgets of "
            f"{len(budgets)} accounts",
            field="budgets",
        )
    return budgets


def read_mandate(operator: str, reason: str) -> Mandate:
    """The mandate of an operator who gives this reason."""
    if not reason.strip():
        raise InvalidQuery(
            f"reason: expected 1 to {LONGEST_REASON} characters, got none", field="reason"
        )
    _require_length(reason, LONGEST_REASON, "reason")
    return Mandate(operator, reason)


async def read_import(
    requests: AsyncIterator[pb.ImportAccountsRequest], geometry: Geometry, operator: str
) -> Import:
    """All accounts of an import's stream, which the operator sends.

    Raises BatchTooLarge for more than LARGEST_IMPORT bytes, besides InvalidQuery.
    """
    mandate: Mandate | None = None
    accounts: list[AccountRecords] = []
    left = LARGEST_IMPORT
    async for request in requests:
        mandate = mandate or read_mandate(operator, request.reason)
        left -= request.ByteSize()
        if left < 0:
            raise BatchTooLarge(f"expected at most {LARGEST_IMPORT} bytes, got more; split it")
        accounts.append(read_records(request.account, geometry))
    if mandate is None:
        raise InvalidQuery("expected at least 1 account, got none", field="account")
    return Import(mandate, accounts)


def read_records(message: pb.AccountRecords, geometry: Geometry) -> AccountRecords:
    """An account to import, checked: its geometry is in service, it could have its records."""
    field = "account.geometry_digest"
    if message.geometry_digest != geometry.digest:
        raise InvalidQuery(
            f"{field}: expected geometry {geometry.digest[:12]}, the one in service, "
            f"got {message.geometry_digest[:12] or 'none'}",
            field=field,
        )
    classes: dict[int, Records] = {}
    for ledger in message.classes:
        if not 0 <= ledger.label < geometry.num_classes or ledger.label in classes:
            raise InvalidQuery(
                f"account.classes: expected each label of 0..{geometry.num_classes - 1} at most "
                f"once, got {ledger.label}",
                field="account.classes",
            )
        classes[ledger.label] = _read_class(ledger, geometry)
    account_id = read_account_id(message.account_id, "account.account_id")
    return AccountRecords(account_id, classes, _read_marks(message.marks))


def read_page_size(page_size: int) -> int:
    """Entries on a page, 0 to LARGEST_PAGE; DEFAULT_PAGE for 0."""
    if not 0 <= page_size <= LARGEST_PAGE:
        raise InvalidQuery(
            f"page_size: expected 0 to {LARGEST_PAGE}, got {page_size}", field="page_size"
        )
    return page_size or DEFAULT_PAGE


def read_account_token(token: str) -> str:
    """The account id in a page token, empty for the first page."""
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise _strange_token() from error


def read_audit_token(token: str) -> int:
    """Number of entries of the audit before a page, 0 for the first page."""
    text = read_account_token(token) or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise _strange_token()
    return int(text)


def _strange_token() -> InvalidQuery:
    return InvalidQuery(
        "page_token: expected a next_page_token of this service, got another text",
        field="page_token",
    )


def _require_length(text: str, longest: int, field: str) -> None:
    if len(text) > longest:
        raise InvalidQuery(
            f"{field}: expected at most {longest} characters, got {len(text)}", field=field
        )


def _read_class(message: pb.ClassRecords, geometry: Geometry) -> Records:
    field = "account.classes.embeddings"
    records = read_tensor(message.embeddings, "<f4", (-1, geometry.embedding_width), field)
    require_finite(records, field)
    labels = np.full(len(records), message.label)
    distances = center_distances(geometry, records, labels)
    # Where a record comes from, it was charged: in its region or, under the wider charge, outside.
    if not sensitive_rows(geometry, distances, labels, Charge.ANYWHERE).all():
        raise InvalidQuery(
            f"{field}: expected records within the reach of a charge to class {message.label}, "
            "got one too far from its center",
            field=field,
        )
    return records


def _read_marks(marks: Sequence[float]) -> list[float]:
    read = [float(mark) for mark in marks]
    if not all(map(_is_mark, read)):
        raise InvalidQuery(
            "account.marks: expected finite levels above 0, or negative fingerprints of secrets, "
            "got another",
            field="account.marks",
        )
    return read


def _is_mark(mark: float) -> bool:
    is_secret = mark < 0 and mark.is_integer() and -mark <= LARGEST_FINGERPRINT
    return is_secret or 0 < mark <= _LARGEST_LEVEL
