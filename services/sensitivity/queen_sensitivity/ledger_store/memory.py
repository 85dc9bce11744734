"""The ledger store in memory, for tests and trials: it ends with the process."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from queen.method.growing import grown
from queen_sensitivity.ledger_store.base import (
    Append,
    Appended,
    AppendResult,
    LedgerKey,
    Records,
    Renewed,
    decide_append,
    packed_end,
)


class MemoryLedgerStore:
    """A `LedgerStore` without a disk: a restart hands every account its budget back."""

    def __init__(self) -> None:
        self._lists: dict[LedgerKey, Records] = {}
        # Classes in which an account ever had a list.
        self._labels: dict[tuple[str, str], set[int]] = {}
        # Arrays with room to grow, of which the lists are views, and how much of them is filled.
        self._buffers: dict[LedgerKey, tuple[Records, int]] = {}
        self._generations: dict[tuple[str, str], int] = {}
        self._audit: list[bytes] = []
        self._lock = threading.Lock()

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """See `LedgerStore.append_many`."""
        with self._lock:
            return [self._append(append) for append in appends]

    def load(self, account_id: str, geometry_digest: str) -> dict[int, Records]:
        """See `LedgerStore.load`."""
        with self._lock:
            owner = (account_id, geometry_digest)
            return {key.label: self._lists[key] for key in self._keys(owner)}

    def list_accounts(self, geometry_digest: str, after: str, limit: int) -> list[str]:
        """See `LedgerStore.list_accounts`."""
        with self._lock:
            known = {
                key.account_id for key in self._lists if key.geometry_digest == geometry_digest
            }
        return sorted(account_id for account_id in known if account_id > after)[:limit]

    def generations(self, account_ids: Sequence[str], geometry_digest: str) -> list[int]:
        """See `LedgerStore.generations`."""
        with self._lock:
            return [self._generations.get((name, geometry_digest), 0) for name in account_ids]

    def geometries(self, account_id: str) -> list[str]:
        """See `LedgerStore.geometries`."""
        with self._lock:
            known = [*self._generations, *(key[:2] for key in self._lists)]
            return sorted({geometry for account, geometry in known if account == account_id})

    def erase(
        self, account_id: str, geometry_digests: Sequence[str], least_generation: int
    ) -> None:
        """See `LedgerStore.erase`."""
        with self._lock:
            for owner in [(account_id, geometry) for geometry in geometry_digests]:
                self._renew(owner, max(self._generations.get(owner, 0) + 1, least_generation))

    def append_audit(self, entry: bytes) -> None:
        """See `LedgerStore.append_audit`."""
        with self._lock:
            self._audit.append(entry)

    def read_audit(self, after: int, limit: int) -> list[bytes]:
        """See `LedgerStore.read_audit`."""
        with self._lock:
            return self._audit[after : after + limit]

    def probe(self) -> bool:
        """See `LedgerStore.probe`."""
        return True

    def close(self) -> None:
        """See `LedgerStore.close`; there is nothing to release."""

    def _renew(self, owner: tuple[str, str], generation: int) -> None:
        for key in self._keys(owner):
            del self._lists[key]
            self._buffers.pop(key, None)
        self._generations[owner] = generation

    def _append(self, append: Append) -> AppendResult:
        owner = append.key[:2]
        generation = self._generations.get(owner, 0)
        if append.generation < generation:
            return Renewed(generation)
        if append.generation > generation:
            self._renew(owner, append.generation)
        current = self._lists.get(append.key)
        version = 0 if current is None else len(current)
        tail = None if current is None else current[append.expected_version :]
        before = b"" if current is None else packed_end(current[: append.expected_version])
        refused = decide_append(append, version, tail, before)
        if refused is not None:
            return refused
        if len(append.records):
            self._labels.setdefault(owner, set()).add(append.key.label)
            self._lists[append.key] = self._joined(append.key, current, append.records)
        return Appended(version + len(append.records))

    def _keys(self, owner: tuple[str, str]) -> list[LedgerKey]:
        """The lists of an (account, geometry)."""
        keys = [LedgerKey(*owner, label) for label in sorted(self._labels.get(owner, ()))]
        return [key for key in keys if key in self._lists]

    def _joined(self, key: LedgerKey, current: Records | None, records: Records) -> Records:
        """A list with `records` (R, E) behind it; arrays that were handed out never change."""
        held = 0 if current is None else len(current)
        count = held + len(records)
        buffer, filled = self._buffers.get(key, (records[:0], 0))
        # Write in place only after the records of the buffer that callers have seen.
        if current is None or current.base is not buffer or held != filled or count > len(buffer):
            start = np.empty((0, records.shape[1]), np.float32) if current is None else current
            buffer = grown(start, max(count, 2 * held))
        buffer[held:count] = records
        self._buffers[key] = (buffer, count)
        joined = buffer[:count]
        joined.flags.writeable = False
        return joined
