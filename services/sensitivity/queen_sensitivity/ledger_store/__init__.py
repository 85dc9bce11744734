"""Where ledgers live."""

from queen_sensitivity.ledger_store.base import (
    Append,
    Appended,
    AppendResult,
    Conflict,
    LedgerKey,
    LedgerStore,
    Records,
    Regressed,
    Renewed,
    packed_end,
)
from queen_sensitivity.ledger_store.memory import MemoryLedgerStore
from queen_sensitivity.ledger_store.redis.address import RedisOptions, is_url, read_address
from queen_sensitivity.ledger_store.redis.store import RedisLedgerStore
from queen_sensitivity.ledger_store.sqlite.store import SqliteLedgerStore

__all__ = [
    "Append",
    "AppendResult",
    "Appended",
    "Conflict",
    "LedgerKey",
    "LedgerStore",
    "MemoryLedgerStore",
    "Records",
    "RedisLedgerStore",
    "RedisOptions",
    "Regressed",
    "Renewed",
    "SqliteLedgerStore",
    "is_url",
    "packed_end",
    "read_address",
]
