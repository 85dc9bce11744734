"""Page tokens and the reader behind the admin API."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from queen_sensitivity.admin.decode import read_token, write_token
from queen_sensitivity.ledger_store import MemoryLedgerStore
from queen_sensitivity.survey.accounts import AccountReader

from queen.errors import AccountNotFound
from tests.unit.sensitivity.regions import book_of, meter_of, queries_of, small_geometry, stream


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_page_token_gives_back_its_account(account_id: str) -> None:
    """Every id survives the token, whatever characters it has."""
    assert read_token(write_token(account_id)) == account_id


def test_the_reader_has_the_cqs_of_the_engine_bit_for_bit() -> None:
    """What an operator sees is what decided the verdicts."""
    geometry, store = small_geometry(), MemoryLedgerStore()
    book = book_of(geometry, store)
    for seed in range(4):
        book.assess(queries_of(*stream(geometry, seed, 100)))
    reader = AccountReader(geometry, book._thresholds, store, meter_of(geometry))
    state = reader.get("a")
    kept, ledgers = book._cache["a"], book._factory
    assert {label: ledgers.cqs(kept, label) for label in kept.numbers} == dict(state.cqs)
    assert state.record_count == sum(ledgers.version(kept, label) for label in kept.numbers)
    with pytest.raises(AccountNotFound):
        reader.get("b")
