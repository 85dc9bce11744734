"""The contract of a ledger store: append-only lists behind a compare-and-set.

A store keeps one list of embeddings for each (account, geometry digest, class). The
version of a list is its length: no counter beside it can drift. Appends never expire
and nothing is ever removed, since forgetting a record hands budget back to the account.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Records = NDArray[np.float32]
"""Recorded embeddings of one ledger, (M, E) float32, in the order they were appended."""


class LedgerKey(NamedTuple):
    """Names one list of records."""

    account_id: str
    geometry_digest: str
    label: int


@dataclass(frozen=True, eq=False)
class Append:
    """`records` (R, E) to put behind the first `expected_version` records of `key`."""

    key: LedgerKey
    expected_version: int
    records: Records


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
    """The list has only `version` records, fewer than were acknowledged; nothing was appended."""

    version: int


AppendResult = Appended | Conflict | Regressed


class LedgerStore(Protocol):
    """What every store promises; tests/contract holds each of them to it.

    All methods may be called from any thread. Each raises DependencyUnavailable when
    the store does not answer, and then nobody knows whether an append took place.
    """

    def append_many(self, appends: Sequence[Append]) -> list[AppendResult]:
        """Take the appends in order, each one a compare-and-set of its own.

        When this returns, every append answered with Appended survives the death of
        this process. No append can fail another.
        """
        ...

    def load(self, account_id: str, geometry_digest: str) -> dict[int, Records]:
        """All records of one account under one geometry, by class; no entry for an empty one."""
        ...

    def list_accounts(self, geometry_digest: str, after: str, limit: int) -> list[str]:
        """The first `limit` ids, in code point order, of accounts above `after` with a record."""
        ...

    def close(self) -> None:
        """Release files, locks and connections; the store is not used afterwards."""
        ...


def decide_append(append: Append, version: int, tail: Records | None) -> AppendResult | None:
    """What a list of `version` records answers to `append`; None if it may take place.

    `tail` is the list from the expected version on, where that is not empty.
    """
    if version < append.expected_version:
        return Regressed(version)
    if version > append.expected_version and tail is not None:
        return Conflict(tail)
    return None
