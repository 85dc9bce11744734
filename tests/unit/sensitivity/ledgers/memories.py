"""An empty memory for the tests of the ledgers."""

from __future__ import annotations

from queen_sensitivity.index.base import open_index
from queen_sensitivity.ledgers.ledger_memory import AccountTable, LedgerMemory
from queen_sensitivity.ledgers.ledger_table import LedgerTable

from queen.method.geometry import Geometry


def memory_of(geometry: Geometry, limit: float = 9.0) -> LedgerMemory:
    """Tables and an index, in step; `limit` is the meter's."""
    ledgers = LedgerTable(geometry.embedding_width)
    accounts = AccountTable(geometry.num_classes, limit, 1.0)
    return LedgerMemory(geometry, accounts, ledgers, open_index("auto", geometry, ledgers))
