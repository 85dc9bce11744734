"""Names of the keys in Redis."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from queen_sensitivity.ledger_store import LedgerKey
from queen_sensitivity.ledger_store.redis.keys import (
    classes_key,
    generations_key,
    index_key,
    list_key,
)
from redis.crc import key_slot


def test_the_names_are_those_of_the_documentation() -> None:
    """An operator who looks into Redis finds what the manual says."""
    assert generations_key("acme") == "queen:{acme}"
    assert classes_key("acme", "ab") == "queen:{acme}:ab"
    assert list_key(LedgerKey("acme", "ab", 4)) == "queen:{acme}:ab:4"
    assert index_key("ab") == "queen:accounts:ab"


@pytest.mark.parametrize("account_id", ["a}{:b", "group acme", "ä", "a:g:0", "%"])
def test_an_id_cannot_leave_its_hash_tag(account_id: str) -> None:
    """Braces, colons and other characters are encoded."""
    tag = generations_key(account_id).removeprefix("queen:")
    assert (tag[0], tag[-1]) == ("{", "}")
    assert not set(tag[1:-1]) & set("{}: ")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.integers(0, 9))
def test_all_keys_of_an_account_are_in_one_slot(account_id: str, label: int) -> None:
    """A script reaches all of them on one server of a cluster."""
    keys = [
        generations_key(account_id),
        classes_key(account_id, "ab"),
        list_key(LedgerKey(account_id, "ab", label)),
    ]
    assert len({key_slot(key.encode()) for key in keys}) == 1


@given(*[st.text(st.characters(exclude_categories=["Cs"]), min_size=1)] * 2)
def test_two_accounts_have_no_key_in_common(account_id: str, other: str) -> None:
    """Whatever characters their ids have."""
    is_one = account_id == other
    assert (generations_key(account_id) == generations_key(other)) == is_one
