"""Ledger stores: records of accounts behind a compare-and-set, in memory, SQLite or Redis."""

from queen_sensitivity.ledger_store.base import (
    Append,
    Appended,
    AppendResult,
    Conflict,
    Damaged,
    LedgerKey,
    LedgerStore,
    Records,
    Refused,
    Regressed,
    Renewed,
    TimedStore,
    packed_end,
)
from queen_sensitivity.ledger_store.condition import StoreCondition, WatchedStore
from queen_sensitivity.ledger_store.memory import MemoryLedgerStore
from queen_sensitivity.ledger_store.redis.address import RedisOptions, is_url, read_address
from queen_sensitivity.ledger_store.redis.store import RedisLedgerStore, open_redis_store
from queen_sensitivity.ledger_store.sqlite.store import SqliteLedgerStore, open_sqlite_store

__all__ = [
    "Append",
    "AppendResult",
    "Appended",
    "Conflict",
    "Damaged",
    "LedgerKey",
    "LedgerStore",
    "MemoryLedgerStore",
    "Records",
    "RedisLedgerStore",
    "RedisOptions",
    "Refused",
    "Regressed",
    "Renewed",
    "SqliteLedgerStore",
    "StoreCondition",
    "TimedStore",
    "WatchedStore",
    "is_url",
    "open_redis_store",
    "open_sqlite_store",
    "packed_end",
    "read_address",
]
