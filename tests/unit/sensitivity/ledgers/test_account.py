"""The ledgers of an account in memory."""

from __future__ import annotations

import numpy as np
import pytest
from queen_sensitivity.ledger_store import LedgerKey, packed_end
from queen_sensitivity.ledgers.account import Account, absent_account, restore_accounts
from queen_sensitivity.ledgers.ledger_memory import LedgerMemory

from queen.errors import LedgerCorrupt, LedgerError
from tests.unit.sensitivity.ledgers.memories import memory_of
from tests.unit.sensitivity.regions import disc, small_geometry

GEOMETRY = small_geometry()
METER = GEOMETRY.num_classes
MARKS = np.array([[3.0, 0.0], [6.0, 0.0]], np.float32)


def restored(memory: LedgerMemory, **lists: np.ndarray) -> Account:
    """An account with these lists: `c0`, `c1` and so on of classes, and `marks`."""
    labels = {"marks": METER, **{f"c{label}": label for label in range(METER)}}
    stored = {labels[name]: records for name, records in lists.items()}
    (account,) = restore_accounts(memory, ["a"], [stored])
    return account


def test_an_account_is_what_the_store_has_of_it() -> None:
    """Records by class, marks, and what follows from both."""
    memory = memory_of(GEOMETRY)
    first, second = disc(GEOMETRY, 0, 1, 4), disc(GEOMETRY, 2, 1, 3)
    account = restored(memory, c0=first, c2=second, marks=MARKS)
    assert account.labels == [0, 2, METER]
    assert account.records(0).tobytes() == first.tobytes()
    assert account.records(METER).tobytes() == MARKS.tobytes()
    assert len(account.records(1)) == 0
    assert memory.accounts.peak[account.slot] == account.meter.peak == 6.0
    assert account.crossed(np.array([0.0, 0.0, np.inf])) == [0]


def test_an_append_stands_behind_the_records_in_memory() -> None:
    """It names the key, the version and the last record; a question appends nothing."""
    account = restored(memory_of(GEOMETRY), c1=disc(GEOMETRY, 1, 1, 4), marks=MARKS)
    account.generation = 7
    new = GEOMETRY.cluster_centers[[1]]
    append = account.append(1, new)
    assert append.key == LedgerKey("a", GEOMETRY.digest, 1)
    assert (append.expected_version, append.generation) == (4, 7)
    assert append.behind == packed_end(account.records(1))
    assert append.records is new
    question = account.question(METER)
    assert (question.expected_version, len(question.records)) == (2, 0)
    assert question.behind == packed_end(MARKS)
    assert account.question(0).behind == b""


def test_lists_grow_and_are_replaced() -> None:
    """A class and the meter alike; a list that grew is judged anew."""
    memory = memory_of(GEOMETRY)
    account = restored(memory, c0=disc(GEOMETRY, 0, 1, 4), marks=MARKS)
    memory.accounts.judged[account.slot] = 5
    more = disc(GEOMETRY, 0, 2, 2)
    account.extend(0, more)
    assert len(account.records(0)) == 6
    assert memory.accounts.judged[account.slot] != 5
    account.replace(0, more)
    assert account.records(0).tobytes() == more.tobytes()
    account.replace(METER, MARKS[:1])
    assert account.meter.peak == memory.accounts.peak[account.slot] == 3.0
    assert memory.ledgers.total == 2


def test_a_released_account_is_gone_for_good() -> None:
    """Its ledgers and its slot are others' now, and it opens no ledger again."""
    memory = memory_of(GEOMETRY)
    account = restored(memory, c0=disc(GEOMETRY, 0, 1, 4), marks=MARKS)
    account.release()
    account.release()
    assert account.is_released
    assert memory.ledgers.total == 0
    with pytest.raises(LedgerError, match="released"):
        account.open_ledger(0)


def test_absent_owners_have_an_empty_account() -> None:
    """It has no ledger, crosses nothing, and counts as released."""
    account = absent_account(memory_of(GEOMETRY))
    assert account.is_released
    assert account.labels == []
    assert account.crossed(np.zeros(METER)) == []


def test_a_record_that_is_not_finite_leaves_no_account_behind() -> None:
    """Neither the damaged account nor those that were read with it."""
    memory = memory_of(GEOMETRY)
    whole, damaged = {0: disc(GEOMETRY, 0, 1, 4)}, {1: np.full((1, 2), np.nan, np.float32)}
    with pytest.raises(LedgerCorrupt, match="finite records of class 1"):
        restore_accounts(memory, ["a", "b"], [whole, damaged])
    assert memory.ledgers.total == 0
    assert sorted(memory.accounts.free) == [1, 2]
