"""Ledger stores: records of accounts behind a compare-and-set, in memory, SQLite or Redis."""

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
    TimedStore,
    packed_end,
)
from queen_sensitivity.ledger_store.memory import MemoryLedgerStore
from queen_sensitivity.ledger_store.redis.address import RedisOptions, is_url, read_address
from queen_sensitivity.ledger_store.redis.store import RedisLedgerStore, open_redis_store
from queen_sensitivity.ledger_store.sqlite.store import SqliteLedgerStore, open_sqlite_store

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
    "TimedStore",
    "is_url",
    "open_redis_store",
    "open_sqlite_store",
    "packed_end",
    "read_address",
]
