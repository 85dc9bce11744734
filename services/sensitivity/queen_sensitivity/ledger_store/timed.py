"""A ledger store whose loads and appends are timed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from queen_sensitivity.ledger_store.base import Append, AppendResult, LedgerStore, Records


class Timer(Protocol):
    """A metric that observes how long a block takes; a Prometheus histogram is one."""

    def time(self) -> AbstractContextManager[object]:
        """Observe the block."""
        ...


class TimedStore:
    """A `LedgerStore` that measures how long another store takes."""

    def __init__(self, store: LedgerStore, load: Timer, append: Timer) -> None:
        self._store = store
        self._load = load
        self._append = append

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """See `LedgerStore.append_many`."""
        with self._append.time():
            return self._store.append_many(appends)

    def load(self, account_id: str, geometry_digest: str) -> dict[int, Records]:
        """See `LedgerStore.load`."""
        with self._load.time():
            return self._store.load(account_id, geometry_digest)

    def list_accounts(self, geometry_digest: str, after: str, limit: int) -> list[str]:
        """See `LedgerStore.list_accounts`."""
        return self._store.list_accounts(geometry_digest, after, limit)

    def generations(self, account_ids: Sequence[str], geometry_digest: str) -> list[int]:
        """See `LedgerStore.generations`."""
        return self._store.generations(account_ids, geometry_digest)

    def geometries(self, account_id: str) -> list[str]:
        """See `LedgerStore.geometries`."""
        return self._store.geometries(account_id)

    def erase(
        self, account_id: str, geometry_digests: Sequence[str], least_generation: int
    ) -> None:
        """See `LedgerStore.erase`."""
        self._store.erase(account_id, geometry_digests, least_generation)

    def append_audit(self, entry: bytes) -> None:
        """See `LedgerStore.append_audit`."""
        self._store.append_audit(entry)

    def read_audit(self, after: int, limit: int) -> list[bytes]:
        """See `LedgerStore.read_audit`."""
        return self._store.read_audit(after, limit)

    def close(self) -> None:
        """See `LedgerStore.close`."""
        self._store.close()
