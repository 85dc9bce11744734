"""The condition of a store as its callers see it: it takes records, or is full, or is away."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from queen.errors import DependencyUnavailable, LedgerFull
from queen.serving.logging import logger
from queen_sensitivity.ledger_store.base import (
    Append,
    Appended,
    AppendResult,
    LedgerStore,
    Records,
    Refused,
)
from queen_sensitivity.metrics import Level


class StoreCondition:
    """The condition that the last calls of a store told; a change is logged with its cause.

    The gauge `up` is 1 while the store answers, `room` while it takes records too. Safe
    from any thread.
    """

    def __init__(self, up: Level, room: Level) -> None:
        self._gauges = up, room
        self._lock = threading.Lock()
        self._log = logger("ledger_store")
        self._is_up = self._has_room = True
        self._show()

    @property
    def is_up(self) -> bool:
        """Whether the store answered when it was last asked."""
        return self._is_up

    @property
    def has_room(self) -> bool:
        """Whether the store answers, and took the last records that it was given."""
        return self._is_up and self._has_room

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note how a call of the store ends: with an answer, with LedgerFull, or without any."""
        try:
            yield
        except LedgerFull as full:
            self.refused(str(full))
            raise
        except DependencyUnavailable as error:
            self._change(False, self._has_room, f"{error}")
            raise
        self.answered()

    def answered(self) -> None:
        """Note an answer, which says nothing of records."""
        self._change(True, self._has_room)

    def refused(self, cause: str) -> None:
        """Note that the store took no records."""
        self._change(True, False, cause)

    def recorded(self) -> None:
        """Note that the store took records, or would."""
        self._change(True, True)

    def _change(self, is_up: bool, has_room: bool, cause: str = "") -> None:
        with self._lock:
            if (is_up, has_room) == (self._is_up, self._has_room):
                return
            self._is_up, self._has_room = is_up, has_room
            self._show()
        if not is_up:
            self._log.error("the ledger store does not answer", cause=cause)
        elif not has_room:
            self._log.error("the ledger store takes no records", cause=cause)
        else:
            self._log.warning("the ledger store answers and takes records again")

    def _show(self) -> None:
        up, room = self._gauges
        up.set(self._is_up)
        room.set(self.has_room)


class WatchedStore:
    """A `LedgerStore` whose calls tell the condition of another store."""

    def __init__(self, store: LedgerStore, condition: StoreCondition) -> None:
        self._store = store
        self._condition = condition
        self.close = store.close

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """See `LedgerStore.append_many`."""
        with self._condition.noting():
            results = self._store.append_many(appends)
        refused = next((result for result in results if isinstance(result, Refused)), None)
        if refused is not None:
            self._condition.refused(refused.cause)
        elif any(
            isinstance(result, Appended) and len(append.records)
            for append, result in zip(appends, results, strict=True)
        ):
            self._condition.recorded()
        return results

    def load(self, account_id: str, geometry_digest: str) -> dict[int, Records]:
        """See `LedgerStore.load`."""
        with self._condition.noting():
            return self._store.load(account_id, geometry_digest)

    def list_accounts(self, geometry_digest: str, after: str, limit: int) -> list[str]:
        """See `LedgerStore.list_accounts`."""
        with self._condition.noting():
            return self._store.list_accounts(geometry_digest, after, limit)

    def generations(self, account_ids: Sequence[str], geometry_digest: str) -> list[int]:
        """See `LedgerStore.generations`."""
        with self._condition.noting():
            return self._store.generations(account_ids, geometry_digest)

    def geometries(self, account_id: str) -> list[str]:
        """See `LedgerStore.geometries`."""
        with self._condition.noting():
            return self._store.geometries(account_id)

    def erase(
        self, account_id: str, geometry_digests: Sequence[str], least_generation: int
    ) -> None:
        """See `LedgerStore.erase`."""
        with self._condition.noting():
            self._store.erase(account_id, geometry_digests, least_generation)

    def append_audit(self, entry: bytes) -> None:
        """See `LedgerStore.append_audit`."""
        with self._condition.noting():
            self._store.append_audit(entry)

    def read_audit(self, after: int, limit: int) -> list[bytes]:
        """See `LedgerStore.read_audit`."""
        with self._condition.noting():
            return self._store.read_audit(after, limit)

    def probe(self) -> bool:
        """See `LedgerStore.probe`."""
        with self._condition.noting():
            has_room = self._store.probe()
        if has_room:
            self._condition.recorded()
        return has_room
