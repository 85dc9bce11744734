"""The contract of a ledger store: append-only lists behind a compare-and-set.

A store keeps one list of embeddings for each (account, geometry digest, class). The
version of a list is its length: no counter beside it can drift. Records never expire, since a
forgotten record hands budget back to the account. Only an operator's erasure removes them, all of
an (account, geometry) at once, and begins a new generation there: an append of an older generation
is refused, so that no replica which remembers the records brings them back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from queen.errors import LedgerCorrupt
from queen_sensitivity.metrics import Timer

Records = NDArray[np.float32]
"""Recorded embeddings of one ledger, (M, E) float32, in the order they were appended."""


class LedgerKey(NamedTuple):
    """Names one list of records."""

    account_id: str
    geometry_digest: str
    label: int


@dataclass(frozen=True, eq=False)
class Append:
    """`records` (R, E) to put behind the first `expected_version` records of `key`.

    `generation` is that of the account, under this geometry, when the caller read the list.
    `behind` is the last record that the caller expects, as `packed_end` gives it, or empty to
    compare no record: a list that lost some records and got others since may have any length.
    """

    key: LedgerKey
    expected_version: int
    records: Records
    generation: int = 0
    behind: bytes = b""


@dataclass(frozen=True)
class Appended:
    """The records are in the store, durably; the list now has `version` records."""

    version: int


@dataclass(frozen=True, eq=False)
class Conflict:
    """Another writer was first; nothing was appended.

    `missing_tail` (M, E) are the records from the expected version on: the conflict and
    the catch-up are one round trip.
    """

    missing_tail: Records


@dataclass(frozen=True)
class Regressed:
    """The list lost records that were acknowledged; nothing was appended.

    The list has `version` records, fewer than expected, or another record where `behind` should be.
    """

    version: int


@dataclass(frozen=True)
class Renewed:
    """The account was erased and is in `generation` now; nothing was appended."""

    generation: int


@dataclass(frozen=True)
class Refused:
    """The store answers, and takes no records: nothing was appended.

    The `cause` is the store's own name of its problem, a full disk for instance.
    """

    cause: str


@dataclass(frozen=True)
class Damaged:
    """The store holds something else than records there, where nothing was appended.

    It is then unknown what was appended to other lists of the account.
    """


AppendResult = Appended | Conflict | Regressed | Renewed | Refused | Damaged


class LedgerStore(Protocol):
    """The promises of every store; tests/contract holds all stores to them.

    All methods may be called from any thread. They raise DependencyUnavailable when the store
    does not answer; it is then unknown whether an append took place. Those that write, but for
    `append_many`, raise LedgerFull when the store answers and takes no records.
    """

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """Make the appends in order, each of them a compare-and-set of its own.

        When this returns, every append answered with Appended survives the death of
        this process. No append can fail another.

        An append of an older generation than the store's is answered with Renewed. A newer
        generation proves that the store lost an erasure: the store repeats the erasure, so that
        its records stay removed, and then makes the append.
        """
        ...

    def load(self, account_id: str, geometry_digest: str) -> dict[int, Records]:
        """All records of one account under one geometry, by class; no entry for an empty one.

        Raises LedgerCorrupt if something else is there.
        """
        ...

    def list_accounts(self, geometry_digest: str, after: str, limit: int) -> list[str]:
        """The first `limit` ids, in code point order, of accounts above `after` with a record."""
        ...

    def generations(self, account_ids: Sequence[str], geometry_digest: str) -> list[int]:
        """The generation of each account under one geometry; 0 before the first erasure.

        Called before `load`, it is never newer than the loaded records.
        """
        ...

    def geometries(self, account_id: str) -> list[str]:
        """Digests of the geometries, in order, under which the account has or had records."""
        ...

    def erase(
        self, account_id: str, geometry_digests: Sequence[str], least_generation: int
    ) -> None:
        """Remove all records of the account under these geometries, and list it no longer.

        The account enters a new generation under each geometry, at least `least_generation`:
        a number that rises with time, so that not even a store that forgot an erasure gives a
        generation out twice.
        """
        ...

    def append_audit(self, entry: bytes) -> None:
        """Keep an entry behind all others, durably; no call changes or removes an entry."""
        ...

    def read_audit(self, after: int, limit: int) -> list[bytes]:
        """Up to `limit` entries behind the first `after`, in the order they were kept."""
        ...

    def probe(self) -> bool:
        """Ask for a sign of life: whether the store is known to take records.

        Raises DependencyUnavailable if it does not answer, and LedgerFull if it is known to take
        none. Nothing is kept.
        """
        ...

    def close(self) -> None:
        """Release files, locks and connections; the store is not used afterwards."""
        ...


class TimedStore:
    """A `LedgerStore` that measures how long the loads and appends of another store take."""

    def __init__(self, store: LedgerStore, load: Timer, append: Timer) -> None:
        self._store = store
        self._load = load
        self._append = append
        # Nothing else is timed: the methods are the store's own.
        self.list_accounts = store.list_accounts
        self.generations = store.generations
        self.geometries = store.geometries
        self.erase = store.erase
        self.append_audit = store.append_audit
        self.read_audit = store.read_audit
        self.probe = store.probe
        self.close = store.close

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """See `LedgerStore.append_many`."""
        with self._append.time():
            return self._store.append_many(appends)

    def load(self, account_id: str, geometry_digest: str) -> dict[int, Records]:
        """See `LedgerStore.load`."""
        with self._load.time():
            return self._store.load(account_id, geometry_digest)


def join_records(blobs: Sequence[bytes]) -> Records:
    """Records (R, E), R at least 1, of their little-endian bytes; LedgerCorrupt for two widths."""
    are_bytes = all(isinstance(blob, bytes) for blob in blobs)
    if (
        not are_bytes
        or len({len(blob) for blob in blobs}) != 1
        or len(blobs[0]) % 4
        or not blobs[0]
    ):
        raise LedgerCorrupt(
            "expected records of one width in a ledger, got several: it is damaged; "
            "restore the store from a backup"
        )
    flat = np.frombuffer(b"".join(blobs), "<f4")
    return flat.reshape(len(blobs), -1).astype(np.float32, copy=False)


def packed_end(records: Records) -> bytes:
    """The last of `records` (M, E), little-endian; empty if there is none."""
    return np.ascontiguousarray(records[-1:], "<f4").tobytes()


def decide_append(
    append: Append, version: int, tail: Records | None, before: bytes
) -> AppendResult | None:
    """The refusal of `append` by a list of `version` records; None if it may take place.

    `tail` is the list from the expected version on, where that is not empty, and `before`
    the record before it, packed.
    """
    if version < append.expected_version or (append.behind and append.behind != before):
        return Regressed(version)
    if version > append.expected_version and tail is not None:
        return Conflict(tail)
    return None
