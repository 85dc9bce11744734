"""Reads the records of an account from a store, and adds them to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from queen.errors import LedgerConflict
from queen.method.geometry import Geometry
from queen.method.meter.off_distribution import AccountMeter
from queen.method.packing import novel_rows
from queen_sensitivity.ledger_store import Append, Appended, LedgerKey, LedgerStore, Records

ATTEMPTS = 16
"""Appends of one account that other writers may win before an import gives up."""


@dataclass(frozen=True, eq=False)
class AccountRecords:
    """All records (M, E) of one account by class, and the marks of its meter."""

    account_id: str
    classes: Mapping[int, Records]
    marks: Sequence[float]

    @property
    def count(self) -> int:
        """Records over all classes."""
        return sum(map(len, self.classes.values()))


class Added(NamedTuple):
    """Records that an import put into the store, and records that others cover."""

    added: int
    covered: int


def read_account(store: LedgerStore, geometry: Geometry, account_id: str) -> AccountRecords:
    """The records that the store has of an account under a geometry."""
    stored = dict(store.load(account_id, geometry.digest))
    marks = stored.pop(geometry.num_classes, None)
    return AccountRecords(account_id, stored, [] if marks is None else marks[:, 0].tolist())


def add_account(store: LedgerStore, geometry: Geometry, incoming: AccountRecords) -> Added:
    """Add the novel records of `incoming` to the account's own records.

    In the union all records of a class stay farther than r apart, and no earlier record is
    removed. Raises LedgerConflict if other writers kept winning.
    """
    added = 0
    for _ in range(ATTEMPTS):
        # The generation is read before the records, as the store demands of every writer.
        (generation,) = store.generations([incoming.account_id], geometry.digest)
        known = read_account(store, geometry, incoming.account_id)
        appends = _novel_appends(geometry, incoming, known, generation)
        results = store.append_many(appends)
        is_done = True
        for append, result in zip(appends, results, strict=True):
            if not isinstance(result, Appended):
                is_done = False
            elif append.key.label != geometry.num_classes:
                added += len(append.records)
        if is_done:
            return Added(added, incoming.count - added)
    raise LedgerConflict(f"another writer was first {ATTEMPTS} times in a row on the same account")


def _novel_appends(
    geometry: Geometry, incoming: AccountRecords, known: AccountRecords, generation: int
) -> list[Append]:
    appends = []
    for label, records in incoming.classes.items():
        own = known.classes.get(label, records[:0])
        fresh = records[novel_rows(geometry, label, own, records)]
        if len(fresh):
            key = LedgerKey(incoming.account_id, geometry.digest, label)
            appends.append(Append(key, len(own), fresh, generation))
    marks = _novel_marks(known.marks, incoming.marks)
    if marks:
        key = LedgerKey(incoming.account_id, geometry.digest, geometry.num_classes)
        rows = [AccountMeter(geometry.embedding_width).as_record(mark) for mark in marks]
        appends.append(Append(key, len(known.marks), np.concatenate(rows), generation))
    return appends


def _novel_marks(known: Sequence[float], incoming: Sequence[float]) -> list[float]:
    """The incoming levels above the known ones, and the last incoming secret if none is known."""
    peak = max([0.0, *known])
    levels = sorted({mark for mark in incoming if mark > peak})
    secrets = [] if min([0.0, *known]) < 0 else [mark for mark in incoming if mark < 0]
    return levels + secrets[-1:]
