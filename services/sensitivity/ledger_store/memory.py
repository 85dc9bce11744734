"""Ledgers in memory, for tests and trials: they end with the process."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from .base import Append, Appended, AppendResult, LedgerKey, Records, decide_append


class MemoryLedgerStore:
    """A `LedgerStore` without a disk: a restart hands every account its budget back."""

    def __init__(self) -> None:
        self._lists: dict[LedgerKey, Records] = {}
        self._lock = threading.Lock()

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """See `LedgerStore.append_many`."""
        with self._lock:
            return [self._append(append) for append in appends]

    def load(self, account_id: str, geometry_digest: str) -> dict[int, Records]:
        """See `LedgerStore.load`."""
        with self._lock:
            return {
                key.label: records
                for key, records in self._lists.items()
                if (key.account_id, key.geometry_digest) == (account_id, geometry_digest)
            }

    def list_accounts(self, geometry_digest: str, after: str, limit: int) -> list[str]:
        """See `LedgerStore.list_accounts`."""
        with self._lock:
            known = {
                key.account_id for key in self._lists if key.geometry_digest == geometry_digest
            }
        return sorted(account_id for account_id in known if account_id > after)[:limit]

    def close(self) -> None:
        """Nothing to release."""

    def _append(self, append: Append) -> AppendResult:
        current = self._lists.get(append.key)
        version = 0 if current is None else len(current)
        tail = None if current is None else current[append.expected_version :]
        refused = decide_append(append, version, tail)
        if refused is not None:
            return refused
        if len(append.records):
            # A new array every time: one that was handed out never changes.
            fresh = append.records.astype(np.float32)
            joined = fresh if current is None else np.concatenate([current, fresh])
            joined.flags.writeable = False
            self._lists[append.key] = joined
        return Appended(version + len(append.records))
