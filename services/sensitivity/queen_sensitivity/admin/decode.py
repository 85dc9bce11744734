"""From the admin API's requests to values: all of a request is checked before any of it acts."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from queen.api.v1 import admin_pb2 as pb
from queen.errors import InvalidQuery
from queen.method.geometry import Geometry
from queen.method.sensitivity import center_distances
from queen.owners import LONGEST_OWNER
from queen.wire import read_tensor
from queen_sensitivity.admin.audit import Mandate
from queen_sensitivity.admin.transfer import AccountRecords
from queen_sensitivity.ledger_store import Records

DEFAULT_PAGE = 100
LARGEST_PAGE = 1000
LONGEST_ACTOR = 256
LONGEST_REASON = 1024


class Mandated(Protocol):
    """A request that says who asks, and why."""

    actor: str
    reason: str


def read_account_id(account_id: str, field: str = "account_id") -> str:
    """`account_id` if it may be one; InvalidQuery otherwise."""
    if not account_id:
        raise InvalidQuery(f"{field}: expected an account, got none", field=field)
    _require_length(account_id, LONGEST_OWNER, field)
    return account_id


def read_budgets(messages: Sequence[pb.AccountBudget]) -> dict[str, int]:
    """Budgets by account, 0 for the default; InvalidQuery for an account that stands twice."""
    budgets = {read_account_id(one.account_id, "budgets"): one.budget for one in messages}
    if len(budgets) < len(messages):
        raise InvalidQuery(
            f"budgets: expected each account at most once, got {len(messages)} budgets of "
            f"{len(budgets)} accounts",
            field="budgets",
        )
    return budgets


def read_mandate(request: Mandated) -> Mandate:
    """Who asks, and why; InvalidQuery if a request does not say."""
    for field, longest in (("actor", LONGEST_ACTOR), ("reason", LONGEST_REASON)):
        text = getattr(request, field)
        if not text.strip():
            raise InvalidQuery(
                f"{field}: expected 1 to {longest} characters, got none", field=field
            )
        _require_length(text, longest, field)
    return Mandate(request.actor, request.reason)


def read_records(message: pb.AccountRecords, geometry: Geometry) -> AccountRecords:
    """One account to import.

    Raises InvalidQuery for another geometry, and for records that no ledger under this one holds.
    """
    field = "account.geometry_digest"
    if message.geometry_digest != geometry.digest:
        raise InvalidQuery(
            f"{field}: expected geometry {geometry.digest[:12]}, the one in service, "
            f"got {message.geometry_digest[:12] or 'none'}",
            field=field,
        )
    classes: dict[int, Records] = {}
    for one in message.classes:
        if not 0 <= one.label < geometry.num_classes or one.label in classes:
            raise InvalidQuery(
                f"account.classes: expected each label of 0..{geometry.num_classes - 1} at most "
                f"once, got {one.label}",
                field="account.classes",
            )
        classes[one.label] = _read_class(one, geometry)
    account_id = read_account_id(message.account_id, "account.account_id")
    return AccountRecords(account_id, classes, _read_marks(message.marks))


def page_size(asked: int) -> int:
    """Entries on a page; InvalidQuery outside 0 to 1000."""
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
        raise _strange_token() from error


def read_place(token: str) -> int:
    """The place in a page token of the audit, 0 for none; InvalidQuery for another text."""
    text = read_token(token) or "0"
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
    if not np.isfinite(records).all():
        raise InvalidQuery(f"{field}: expected finite numbers, got NaN or infinity", field=field)
    labels = np.full(len(records), message.label)
    distances = center_distances(geometry, records, labels)
    if (distances >= geometry.sensitive_radius[message.label]).any():
        raise InvalidQuery(
            f"{field}: expected records inside the sensitive region of class {message.label}, "
            "got one outside",
            field=field,
        )
    return records


def _read_marks(marks: Sequence[float]) -> list[float]:
    levels = [float(mark) for mark in marks]
    if not all(np.isfinite(level) and level > 0 for level in levels):
        raise InvalidQuery(
            "account.marks: expected finite levels above 0, got another", field="account.marks"
        )
    return levels
