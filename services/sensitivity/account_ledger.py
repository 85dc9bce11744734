"""One account's ledger in memory: its records by class, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from queen.errors import LedgerError
from queen.method.geometry import FloatArray, Geometry
from queen.method.sensitivity import center_distances, record_weight, single_query_sensitivity

from .ledger_store import Append, LedgerKey, Records, packed_end
from .ledger_table import NO_LEDGER, LedgerTable, Numbers
from .meter_ledger import MeterLedger
from .neighbor_search import NeighborSearch


class AccountLedger:
    """All of one owner: `numbers` are those of its ledgers in the table, by class.

    `meter` says how far the owner's queries have strayed from the training distribution.
    All of it is of one `generation`, about which the store was asked at `checked_at` seconds.
    `is_in_doubt` says that the store may have lost any of it since.
    """

    __slots__ = (
        "checked_at",
        "crossed_of",
        "generation",
        "is_crossed",
        "is_in_doubt",
        "meter",
        "numbers",
    )

    def __init__(self, embedding_width: int) -> None:
        self.numbers: dict[int, int] = {}
        self.meter = MeterLedger(embedding_width)
        self.generation = 0
        self.checked_at = 0.0
        self.is_in_doubt = False
        self.crossed_of: FloatArray | None = None
        """The thresholds that `is_crossed` was found with; None once it has to be found again."""
        self.is_crossed = False


class LedgerFactory:
    """Builds the ledgers of accounts under one geometry, and keeps table and search together."""

    def __init__(self, geometry: Geometry, table: LedgerTable, search: NeighborSearch) -> None:
        self._geometry = geometry
        self.table = table
        self.search = search
        self._nothing: Records = np.empty((0, geometry.embedding_width), np.float32)

    def restore(self, stored: Sequence[Mapping[int, Records]]) -> list[AccountLedger]:
        """The ledgers of accounts whose records, by class, are `stored`."""
        accounts = [AccountLedger(self._geometry.embedding_width) for _ in stored]
        numbers: list[int] = []
        lists: list[Records] = []
        try:
            for account, by_class in zip(accounts, stored, strict=True):
                for label, records in by_class.items():
                    _require_finite(label, records)
                    if label == self._geometry.num_classes:
                        account.meter.extend(records)
                    elif len(records):
                        numbers.append(self.number(account, label))
                        lists.append(records)
            if numbers:
                self._append(np.array(numbers), np.array([len(one) for one in lists]), lists)
        except BaseException:
            for account in accounts:
                self.release(account)
            raise
        return accounts

    def extend(self, account: AccountLedger, label: int, records: Records) -> None:
        """Append `records` (R, E) of class `label` to the account.

        Raises LedgerError for a record that is not finite: cqs would be NaN, never above
        any threshold, and the defence off without a word.
        """
        _require_finite(label, records)
        if label == self._geometry.num_classes:
            account.meter.extend(records)
        elif len(records):
            number = self.number(account, label)
            account.crossed_of = None
            self._append(np.array([number]), np.array([len(records)]), [records])

    def keep(
        self, numbers: Numbers, counts: Numbers, records: Records, weights: FloatArray
    ) -> None:
        """Append `records` (R, E) with their `weights` (R,), `counts` (L,) to each of `numbers`.

        The caller sees to `crossed_of` of their accounts.
        """
        self.table.extend(numbers, counts, records, weights)
        self.search.add(numbers, counts, records)

    def release(self, account: AccountLedger) -> None:
        """Forget all ledgers of an account, which is used no longer."""
        numbers = list(account.numbers.values())
        account.numbers.clear()
        account.crossed_of = None
        self._close(numbers)

    def is_crossed(self, account: AccountLedger, thresholds: FloatArray) -> bool:
        """Whether any class is over its threshold T, (C,), an array that never changes."""
        if account.crossed_of is not thresholds:
            account.is_crossed = bool(self.crossed(account, thresholds))
            account.crossed_of = thresholds
        return account.is_crossed

    def crossed(self, account: AccountLedger, thresholds: FloatArray) -> list[int]:
        """Classes over their threshold T, (C,)."""
        cqs = self.table.cqs
        pairs = account.numbers.items()
        return [label for label, number in pairs if cqs[number] > thresholds[label]]

    def records_of(self, account: AccountLedger, label: int) -> Records:
        """What is known of one list of the account, a class's records or the meter's marks."""
        if label == self._geometry.num_classes:
            return account.meter.records
        return self.table.records(account.numbers.get(label, NO_LEDGER))

    def labels_of(self, account: AccountLedger) -> list[int]:
        """Labels of the lists of which something is known: classes, then the meter's."""
        meter = [self._geometry.num_classes] if account.meter.marks else []
        return [*account.numbers, *meter]

    def replace(self, account: AccountLedger, label: int, records: Records) -> None:
        """Put `records` (R, E), at least one, in the place of all that is known of a list."""
        if label == self._geometry.num_classes:
            account.meter.marks, account.meter.peak = [], 0.0
        elif label in account.numbers:
            self._close([account.numbers.pop(label)])
        self.extend(account, label, records)

    def append(self, owner: str, account: AccountLedger, label: int, records: Records) -> Append:
        """An append of `records` (R, E) behind what is known of a list; of none, a question."""
        key = LedgerKey(owner, self._geometry.digest, label)
        if label == self._geometry.num_classes:
            marks = account.meter.records
            return Append(key, len(marks), records, account.generation, packed_end(marks))
        number = account.numbers.get(label, NO_LEDGER)
        version, behind = int(self.table.version[number]), packed_end(self.table.end(number))
        return Append(key, version, records, account.generation, behind)

    def question(self, owner: str, account: AccountLedger, label: int) -> Append:
        """An append of nothing: whether the list is as it is known."""
        return self.append(owner, account, label, self._nothing)

    def version(self, account: AccountLedger, label: int) -> int:
        """Number of records of a class."""
        return int(self.table.version[account.numbers.get(label, NO_LEDGER)])

    def cqs(self, account: AccountLedger, label: int) -> float:
        """Cqs of a class."""
        return float(self.table.cqs[account.numbers.get(label, NO_LEDGER)])

    def number(self, account: AccountLedger, label: int) -> int:
        """Number of the account's ledger of class `label`, opened if it has none."""
        number = account.numbers.get(label)
        if number is None:
            number = account.numbers[label] = self.table.open(label)
        return number

    def _close(self, numbers: Sequence[int]) -> None:
        self.search.drop(numbers)
        self.table.close(numbers)

    def _append(self, numbers: Numbers, counts: Numbers, lists: Sequence[Records]) -> None:
        records = lists[0] if len(lists) == 1 else np.concatenate(lists)
        labels = np.repeat(self.table.label[numbers], counts)
        self.keep(numbers, counts, records, record_weights(self._geometry, records, labels))


def record_weights(geometry: Geometry, records: Records, labels: NDArray[np.integer]) -> FloatArray:
    """What each of `records` (R, E) of classes `labels` (R,) adds to cqs, (R,)."""
    distances = center_distances(geometry, records, labels)
    return record_weight(geometry, single_query_sensitivity(geometry, distances, labels))


def _require_finite(label: int, records: Records) -> None:
    if not np.isfinite(records).all():
        raise LedgerError(
            f"expected finite records of class {label} in the store, got NaN or infinity; "
            "restore the store from a backup"
        )
