"""A store that remembers all that its lists have been, and the way of a replica to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from queen_sensitivity.ledger_store import Append, AppendResult, LedgerKey, Records

from tests.unit.sensitivity.regions import ForgetfulStore

_EMPTY = np.empty((0, 2), np.float32)


class Accepted(NamedTuple):
    """Records that the store appended behind the records `before`, for a numbered batch."""

    batch: int
    key: LedgerKey
    before: Records
    records: Records


class WatchedStore(ForgetfulStore):
    """Remembers every state that a list has had, and when.

    Time is the number of changes so far; `batch` is the number of the batch that calls.
    """

    compares = True

    def __init__(self) -> None:
        super().__init__()
        self.time = 0
        self.batch = 0
        self.accepted: list[Accepted] = []
        self._history: dict[LedgerKey, list[tuple[int, Records]]] = {}

    def state(self, key: LedgerKey) -> Records:
        """A list as it is, (M, E)."""
        return self._lists.get(key, _EMPTY)

    def states(self, key: LedgerKey, since: int) -> list[Records]:
        """The list at the time `since`, and every state of it from then on."""
        history = [(0, _EMPTY), *self._history.get(key, [])]
        start = max(index for index, (time, _) in enumerate(history) if time <= since)
        return [records for _, records in history[start:]]

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """Append, and remember how the lists changed."""
        return [self._append_and_note(append) for append in appends]

    def note(self) -> None:
        """Remember the lists that have changed."""
        self.time += 1
        for key in self._lists.keys() | self._history.keys():
            history = self._history.setdefault(key, [])
            current = self.state(key)
            if not history or history[-1][1] is not current:
                history.append((self.time, current))

    def _append_and_note(self, append: Append) -> AppendResult:
        before = self.state(append.key)
        if not self.compares:
            append = Append(append.key, len(before), append.records, append.generation)
        (result,) = super().append_many([append])
        after = self.state(append.key)
        if len(append.records) and len(after) and after is not before:
            kept = after[: len(after) - len(append.records)]
            self.accepted.append(Accepted(self.batch, append.key, kept, append.records))
        self.note()
        return result


class BlindStore(WatchedStore):
    """The store as it must not be: it appends wherever the list ends by now."""

    compares = False


class InterleavedStore:
    """A replica's way to the store: `call` runs its calls, lets others go first, and may fail."""

    def __init__(self, store: WatchedStore, call: Callable[[Callable[[], Any]], Any]) -> None:
        self._store = store
        self._call = call

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """See `LedgerStore.append_many`."""
        return list(self._call(lambda: self._store.append_many(appends)))

    def load(self, account_id: str, geometry_digest: str) -> dict[int, Records]:
        """See `LedgerStore.load`."""
        return dict(self._call(lambda: self._store.load(account_id, geometry_digest)))

    def generations(self, account_ids: Sequence[str], geometry_digest: str) -> list[int]:
        """See `LedgerStore.generations`."""
        return list(self._call(lambda: self._store.generations(account_ids, geometry_digest)))
