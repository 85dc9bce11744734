"""Lists in memory, which share an array with room to grow."""

from __future__ import annotations

import numpy as np
import pytest
from queen_sensitivity.ledger_store import Append, LedgerKey, MemoryLedgerStore

from tests.contract.ledger_stores import append_of, records_of

KEY = LedgerKey("a", "g", 0)


def test_an_append_copies_no_earlier_record_while_there_is_room() -> None:
    """The array doubles, so the records are copied a few times only however many appends come."""
    store = MemoryLedgerStore()
    bases = set()
    for version in range(100):
        store.append_many([append_of("a", version, float(version))])
        bases.add(store.load("a", "g")[0].ctypes.data)
    assert len(bases) < 10
    assert store.load("a", "g")[0][:, 0].tolist() == [float(version) for version in range(100)]


def test_loaded_records_cannot_be_changed() -> None:
    """A caller that writes into them would change the store."""
    store = MemoryLedgerStore()
    store.append_many([Append(KEY, 0, records_of(1.0, 2.0))])
    with pytest.raises(ValueError, match="read-only"):
        store.load("a", "g")[0][0, 0] = 9.0


def test_a_list_that_begins_anew_leaves_the_loaded_records_of_the_old_one() -> None:
    """An erasure and later appends do not reach into arrays that a caller holds."""
    store = MemoryLedgerStore()
    store.append_many([append_of("a", 0, 1.0, 2.0)])
    store.append_many([append_of("a", 2, 3.0)])
    held = store.load("a", "g")[0]
    store.erase("a", ["g"], 5)
    store.append_many([Append(KEY, 0, records_of(7.0, 8.0), 5)])
    assert np.array_equal(held, records_of(1.0, 2.0, 3.0))
    assert np.array_equal(store.load("a", "g")[0], records_of(7.0, 8.0))
