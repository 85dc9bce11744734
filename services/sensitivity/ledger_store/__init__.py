"""Where ledgers live."""

from .base import (
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
from .memory import MemoryLedgerStore
from .redis import RedisLedgerStore
from .redis_address import RedisOptions, is_url, read_address
from .sqlite import SqliteLedgerStore

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
