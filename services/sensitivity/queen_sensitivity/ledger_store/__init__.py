"""Where ledgers live."""

from queen_sensitivity.ledger_store.base import (
    Append,
    Appended,
    AppendResult,
    Conflict,
    Decided,
    LedgerKey,
    LedgerStore,
    NovelAppend,
    Records,
    Regressed,
    Renewed,
    ServerSideAppend,
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
    "Decided",
    "LedgerKey",
    "LedgerStore",
    "MemoryLedgerStore",
    "NovelAppend",
    "Records",
    "RedisLedgerStore",
    "RedisOptions",
    "Regressed",
    "Renewed",
    "ServerSideAppend",
    "SqliteLedgerStore",
    "is_url",
    "packed_end",
    "read_address",
]
