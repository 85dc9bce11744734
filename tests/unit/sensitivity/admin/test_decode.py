"""Requests of the admin API as values, and the requests that are refused."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from queen_sensitivity.admin import decode
from queen_sensitivity.admin.decode import (
    DEFAULT_PAGE,
    LARGEST_PAGE,
    read_account_ids,
    read_account_token,
    read_audit_token,
    read_budgets,
    read_import,
    read_mandate,
    read_page_size,
    read_records,
)
from queen_sensitivity.admin.encode import export_response, page_token
from queen_sensitivity.ledger_store import MemoryLedgerStore

from queen.api.v1 import admin_pb2 as pb
from queen.errors import BatchTooLarge, InvalidQuery
from queen.method.crossing import UNSTATED, CrossingPolicy
from queen.owners import LONGEST_OWNER
from tests.unit.sensitivity.admin.accounts import BY_ANA, DIGEST, GEOMETRY, filled

CENTER = GEOMETRY.cluster_centers[:1].astype("<f4").tobytes()


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_page_token_gives_back_its_account(account_id: str) -> None:
    """Every id survives the token, whatever characters it has."""
    assert read_account_token(page_token(account_id)) == account_id


def test_a_token_of_the_audit_is_a_number_of_entries() -> None:
    """Another text is refused in words."""
    assert read_audit_token("") == 0
    assert read_audit_token(page_token("30")) == 30
    for text in ("x", page_token("a"), page_token("-1"), page_token("9" * 40)):
        with pytest.raises(InvalidQuery, match="page_token"):
            read_audit_token(text)


def test_a_page_has_a_default_and_a_largest_size() -> None:
    """0 asks for the default."""
    sizes = [read_page_size(size) for size in (0, 1, LARGEST_PAGE)]
    assert sizes == [DEFAULT_PAGE, 1, LARGEST_PAGE]
    for size in (-1, LARGEST_PAGE + 1):
        with pytest.raises(InvalidQuery, match="page_size: expected 0 to 1000"):
            read_page_size(size)


@pytest.mark.parametrize("name", ["", "a" * (LONGEST_OWNER + 1)])
def test_an_owner_has_a_name_of_a_certain_length(name: str) -> None:
    """The refusal names the field."""
    with pytest.raises(InvalidQuery) as refusal:
        read_account_ids(["a", name])
    assert refusal.value.field == "account_ids"


def test_an_account_has_at_most_one_budget() -> None:
    """Two budgets of one account are refused, since only one could count."""
    own = pb.AccountBudget(account_id="a", budget=3, breadth=5, class_cap=2)
    messages = [own, pb.AccountBudget(account_id="b")]
    assert read_budgets(messages) == {"a": CrossingPolicy(3, 5, 2), "b": UNSTATED}
    with pytest.raises(InvalidQuery, match="at most once"):
        read_budgets([*messages, pb.AccountBudget(account_id="a", budget=4)])


def test_a_mandate_has_an_operator_and_a_reason() -> None:
    """Blanks are no reason."""
    assert read_mandate("ana", "ticket 7") == BY_ANA
    for text in (" ", "", "r" * 1025):
        with pytest.raises(InvalidQuery) as refusal:
            read_mandate("ana", text)
        assert refusal.value.field == "reason"


def test_an_exported_account_is_read_as_it_was() -> None:
    """Records and marks survive the wire bit for bit."""
    account = filled(MemoryLedgerStore())
    read = read_records(export_response(account, DIGEST).account, GEOMETRY)
    assert (read.account_id, list(read.marks)) == ("a", list(account.marks))
    assert {label: records.tobytes() for label, records in read.classes.items()} == {
        label: records.tobytes() for label, records in account.classes.items()
    }


def classes_of(*ledgers: tuple[int, bytes]) -> list[pb.ClassRecords]:
    """Class records by label and bytes."""
    return [pb.ClassRecords(label=label, embeddings=content) for label, content in ledgers]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"geometry_digest": "ab"}, "account.geometry_digest"),
        ({"account_id": ""}, "account.account_id"),
        ({"classes": classes_of((9, b""))}, "account.classes"),
        ({"classes": classes_of((0, CENTER), (0, CENTER))}, "account.classes"),
        ({"classes": classes_of((0, CENTER[:-1]))}, "account.classes.embeddings"),
        (
            {"classes": classes_of((0, np.full(2, np.nan, "<f4").tobytes()))},
            "account.classes.embeddings",
        ),
        (
            {"classes": classes_of((0, np.full(2, 1e6, "<f4").tobytes()))},
            "account.classes.embeddings",
        ),
        ({"marks": [0.0]}, "account.marks"),
        ({"marks": [float("inf")]}, "account.marks"),
        ({"marks": [1.7e308]}, "account.marks"),
        ({"marks": [-1.5]}, "account.marks"),
        ({"marks": [-(2.0**24)]}, "account.marks"),
    ],
)
def test_an_account_that_no_ledger_could_hold_is_refused(
    changes: dict[str, object], field: str
) -> None:
    """Another geometry, a wrong label or width, or a record that is not finite or out of reach."""
    sound = {"account_id": "a", "geometry_digest": DIGEST, "classes": classes_of((0, CENTER))}
    assert read_records(pb.AccountRecords(**sound), GEOMETRY).count == 1  # type: ignore[arg-type] - fields of several types
    with pytest.raises(InvalidQuery) as refusal:
        read_records(pb.AccountRecords(**{**sound, **changes}), GEOMETRY)  # type: ignore[arg-type]
    assert refusal.value.field == field


async def stream_of(*requests: pb.ImportAccountsRequest) -> AsyncIterator[pb.ImportAccountsRequest]:
    """The requests as they come from a caller."""
    for request in requests:
        yield request


def import_of(account_id: str, **mandate: str) -> pb.ImportAccountsRequest:
    """A request with one account."""
    account = pb.AccountRecords(account_id=account_id, geometry_digest=DIGEST)
    return pb.ImportAccountsRequest(account=account, **mandate)


async def test_an_import_has_the_mandate_of_its_first_request() -> None:
    """Later requests need none."""
    requests = stream_of(import_of("a", reason="ticket 7"), import_of("b"))
    mandate, accounts = await read_import(requests, GEOMETRY, "ana")
    assert mandate == BY_ANA
    assert [account.account_id for account in accounts] == ["a", "b"]


async def test_an_import_without_an_account_is_refused() -> None:
    """The refusal names the field that is missing."""
    with pytest.raises(InvalidQuery, match="at least 1 account") as refusal:
        await read_import(stream_of(), GEOMETRY, "ana")
    assert refusal.value.field == "account"


async def test_an_import_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it waits in memory until it is checked, so it has a bound."""
    request = import_of("a", reason="r")
    monkeypatch.setattr(decode, "LARGEST_IMPORT", 2 * request.ByteSize())
    _, accounts = await read_import(stream_of(request, request), GEOMETRY, "ana")
    assert len(accounts) == 2
    with pytest.raises(BatchTooLarge, match="split it"):
        await read_import(stream_of(request, request, request), GEOMETRY, "ana")
