"""An account with records and marks, for the tests of the admin API."""

from __future__ import annotations

import numpy as np
from queen_sensitivity.admin.transfer import AccountRecords, read_account
from queen_sensitivity.ledger_store import MemoryLedgerStore

from queen.operators import Mandate
from tests.unit.sensitivity.regions import (
    book_of,
    meter_of,
    queries_of,
    ring,
    small_geometry,
    stream,
)

GEOMETRY = small_geometry()
DIGEST = GEOMETRY.digest
BY_ANA = Mandate("ana", "ticket 7")


def filled(store: MemoryLedgerStore, account: str = "a", seed: int = 1) -> AccountRecords:
    """The store with an account of 60 queries and a mark."""
    book = book_of(GEOMETRY, store, meter=meter_of(GEOMETRY), budget=60)
    book.assess(queries_of(*stream(GEOMETRY, seed, 60), accounts=[account]))
    book.assess(queries_of(ring(GEOMETRY, 0, 5), np.zeros(5, int), accounts=[account]))
    return read_account(store, GEOMETRY, account)
