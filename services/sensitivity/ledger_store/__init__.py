"""Where ledgers live."""

from .base import (
    Append,
    Appended,
    AppendResult,
    Conflict,
    LedgerKey,
    LedgerStore,
    Records,
    Regressed,
)
from .memory import MemoryLedgerStore
from .sqlite import SqliteLedgerStore

__all__ = [
    "Append",
    "AppendResult",
    "Appended",
    "Conflict",
    "LedgerKey",
    "LedgerStore",
    "MemoryLedgerStore",
    "Records",
    "Regressed",
    "SqliteLedgerStore",
]
