"""One account's ledger in memory: its records by class, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from queen.errors import LedgerError
from queen.method.geometry import FloatArray, Geometry
from queen.method.sensitivity import center_distances, record_weight, single_query_sensitivity

from .faiss_index import NeighborSearch, RecordIndex
from .ledger_store import Append, LedgerKey, Records, packed_end
from .meter_ledger import MeterLedger


class ClassLedger:
    """The records of one (account, class) at a known version.

    `cqs` is the sum of the weights of `index.records`, in their order: kept along, never
    stored, so that it cannot drift from the records.
    """

    __slots__ = ("cqs", "index")

    def __init__(self, embedding_width: int) -> None:
        self.index = RecordIndex(embedding_width)
        self.cqs = 0.0

    @property
    def version(self) -> int:
        """Number of records."""
        return len(self.index)

    @property
    def records(self) -> Records:
        """(M, E) float32, in the order they were recorded."""
        return self.index.records

    def extend(self, records: Records, offsets: NDArray[np.float32], weights: FloatArray) -> None:
        """Append `records` (R, E) with their `offsets` (R, E) and `weights` (R,)."""
        self.index.add(records, offsets)
        # One by one: the same records give the same bits, however they came in.
        for weight in weights.tolist():
            self.cqs += weight


class AccountLedger:
    """All of one owner: `classes` holds a `ClassLedger` for each class with a record.

    `meter` says how far the owner's queries have strayed from the training distribution.
    All of it is of one `generation`, about which the store was asked at `checked_at` seconds.
    `is_in_doubt` says that the store may have lost any of it since.
    """

    __slots__ = ("checked_at", "classes", "generation", "is_in_doubt", "meter")

    def __init__(self, embedding_width: int) -> None:
        self.classes: dict[int, ClassLedger] = {}
        self.meter = MeterLedger(embedding_width)
        self.generation = 0
        self.checked_at = 0.0
        self.is_in_doubt = False

    def crossed(self, thresholds: FloatArray) -> list[int]:
        """Classes over their threshold T, (C,)."""
        return [label for label, ledger in self.classes.items() if ledger.cqs > thresholds[label]]

    def is_crossed(self, thresholds: FloatArray) -> bool:
        """Whether any class is over its threshold T, (C,)."""
        return bool(self.crossed(thresholds))


class LedgerFactory:
    """Builds ledgers from records under one geometry."""

    def __init__(self, geometry: Geometry, neighbors: NeighborSearch) -> None:
        self._geometry = geometry
        self._neighbors = neighbors
        self._nothing: Records = np.empty((0, geometry.embedding_width), np.float32)

    def restore(self, stored: Mapping[int, Records]) -> AccountLedger:
        """The ledger of an account whose records, by class, are `stored`."""
        account = AccountLedger(self._geometry.embedding_width)
        for label, records in stored.items():
            self.extend(account, label, records)
        return account

    def extend(self, account: AccountLedger, label: int, records: Records) -> None:
        """Append `records` (R, E) of class `label` to the account.

        Raises LedgerError for a record that is not finite: cqs would be NaN, never above
        any threshold, and the defence off without a word.
        """
        if not np.isfinite(records).all():
            raise LedgerError(
                f"expected finite records of class {label} in the store, got NaN or infinity; "
                "restore the store from a backup"
            )
        if label == self._geometry.num_classes:
            account.meter.extend(records)
        elif len(records):
            labels = np.full(len(records), label)
            offsets = self._neighbors.offsets(records, labels)
            weights = record_weights(self._geometry, records, labels)
            self.class_ledger(account, label).extend(records, offsets, weights)

    def records_of(self, account: AccountLedger, label: int) -> Records:
        """What is known of one list of the account, a class's records or the meter's marks."""
        if label == self._geometry.num_classes:
            return account.meter.records
        ledger = account.classes.get(label)
        return self._nothing if ledger is None else ledger.records

    def labels_of(self, account: AccountLedger) -> list[int]:
        """Labels of the lists of which something is known: classes, then the meter's."""
        meter = [self._geometry.num_classes] if account.meter.marks else []
        return [*account.classes, *meter]

    def replace(self, account: AccountLedger, label: int, records: Records) -> None:
        """Put `records` (R, E), at least one, in the place of all that is known of a list."""
        if label == self._geometry.num_classes:
            account.meter.marks, account.meter.peak = [], 0.0
        else:
            account.classes.pop(label, None)
        self.extend(account, label, records)

    def append(self, owner: str, account: AccountLedger, label: int, records: Records) -> Append:
        """An append of `records` (R, E) behind what is known of a list; of none, a question."""
        known = self.records_of(account, label)
        key = LedgerKey(owner, self._geometry.digest, label)
        return Append(key, len(known), records, account.generation, packed_end(known))

    def question(self, owner: str, account: AccountLedger, label: int) -> Append:
        """An append of nothing: whether the list is as it is known."""
        return self.append(owner, account, label, self._nothing)

    def class_ledger(self, account: AccountLedger, label: int) -> ClassLedger:
        """The account's ledger of class `label`, made if it has none."""
        ledger = account.classes.get(label)
        if ledger is None:
            ledger = account.classes[label] = ClassLedger(self._geometry.embedding_width)
        return ledger


def record_weights(geometry: Geometry, records: Records, labels: NDArray[np.integer]) -> FloatArray:
    """What each of `records` (R, E) of classes `labels` (R,) adds to cqs, (R,)."""
    distances = center_distances(geometry, records, labels)
    return record_weight(geometry, single_query_sensitivity(geometry, distances, labels))
