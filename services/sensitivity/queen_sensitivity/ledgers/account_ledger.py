"""One account's ledger in memory: its records by class, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from queen.errors import LedgerCorrupt, LedgerError
from queen.method.geometry import FloatArray, Geometry
from queen.method.sensitivity import record_weights
from queen_sensitivity.ledger_store import Append, LedgerKey, Records, packed_end
from queen_sensitivity.ledgers.account_table import NOBODY, AccountTable, Slots
from queen_sensitivity.ledgers.ledger_table import NO_LEDGER, LedgerTable, Numbers
from queen_sensitivity.ledgers.meter import MeterLedger
from queen_sensitivity.ledgers.neighbor_index import NeighborIndex

Tables = Mapping[int, FloatArray]
"""Thresholds T (C,) by budget, which is 0 for the service's own."""


class AccountLedger:
    """All of one owner, of one `generation`; what every batch asks of it is at `slot` in a table.

    `meter` says how far the owner's queries have strayed from the training distribution.
    """

    __slots__ = ("_table", "generation", "meter", "owner", "slot")

    def __init__(self, owner: str, table: AccountTable, slot: int, embedding_width: int) -> None:
        self.owner = owner
        self._table = table
        self.slot = slot
        self.meter = MeterLedger(embedding_width)
        self.generation = 0

    @property
    def numbers(self) -> dict[int, int]:
        """Numbers of its ledgers by class."""
        return self._table.ledgers(self.slot)

    @property
    def is_released(self) -> bool:
        """Whether nothing of it is in memory any longer."""
        return self.slot == NOBODY


class LedgerFactory:
    """Builds the ledgers of accounts under one geometry, and keeps tables and search together."""

    def __init__(
        self,
        geometry: Geometry,
        accounts: AccountTable,
        table: LedgerTable,
        search: NeighborIndex,
    ) -> None:
        self._geometry = geometry
        self.accounts = accounts
        self.table = table
        self.search = search
        self._nothing: Records = np.empty((0, geometry.embedding_width), np.float32)

    def restore(
        self, owners: Sequence[str], stored: Sequence[Mapping[int, Records]]
    ) -> list[AccountLedger]:
        """The ledgers of `owners` whose records, by class, are `stored`."""
        accounts = [self._new(owner) for owner in owners]
        numbers: list[int] = []
        lists: list[Records] = []
        try:
            for account, by_class in zip(accounts, stored, strict=True):
                for label, records in by_class.items():
                    _require_finite(label, records)
                    if label == self._geometry.num_classes:
                        self._mark(account, records)
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

    def nobody(self) -> AccountLedger:
        """What stands for every owner who is not in memory."""
        return AccountLedger("", self.accounts, NOBODY, self._geometry.embedding_width)

    def extend(self, account: AccountLedger, label: int, records: Records) -> None:
        """Append `records` (R, E) of class `label` to the account.

        Raises LedgerCorrupt for a record that is not finite: cqs would be NaN, never above
        any threshold, and the defence off without a word.
        """
        _require_finite(label, records)
        if label == self._geometry.num_classes:
            self._mark(account, records)
        elif len(records):
            number = self.number(account, label)
            self.accounts.unjudge(account.slot)
            self._append(np.array([number]), np.array([len(records)]), [records])

    def keep(
        self, numbers: Numbers, counts: Numbers, records: Records, weights: FloatArray
    ) -> None:
        """Append `records` (R, E) with their `weights` (R,), `counts` (L,) to each of `numbers`.

        The caller sees to `is_crossed` of their accounts.
        """
        self.table.extend(numbers, counts, records, weights)
        self.search.add(numbers, counts, records)

    def release(self, account: AccountLedger) -> None:
        """Forget all ledgers of an account, which is used no longer."""
        if not account.is_released:
            self._close(list(account.numbers.values()))
            self.accounts.close(account.slot)
            # Not to be read again: the slot will be another account's.
            account.slot = NOBODY

    def judge(self, slots: Slots, budgets: NDArray[np.int64], tables: Tables) -> None:
        """Find out whether any class of some accounts is over its threshold, (S,) each.

        `tables` are the thresholds T (C,) of the distinct `budgets`.
        """
        for budget, thresholds in tables.items():
            of_budget = slots[budgets == budget]
            if len(of_budget):
                is_over = self.table.cqs[self.accounts.numbers[of_budget]] > thresholds
                self.accounts.judge(of_budget, budget, is_over.any(axis=1))

    def crossed(self, account: AccountLedger, thresholds: FloatArray) -> list[int]:
        """Classes over their threshold T, (C,)."""
        is_over = self.table.cqs[self.accounts.numbers[account.slot]] > thresholds
        labels: list[int] = is_over.nonzero()[0].tolist()
        return labels

    def records_of(self, account: AccountLedger, label: int) -> Records:
        """What is known of one list of the account, a class's records or the meter's marks."""
        if label == self._geometry.num_classes:
            return account.meter.records
        return self.table.records(self._known(account, label))

    def labels_of(self, account: AccountLedger) -> list[int]:
        """Labels of the lists of which something is known: classes, then the meter's."""
        meter = [self._geometry.num_classes] if account.meter.marks else []
        return [*account.numbers, *meter]

    def replace(self, account: AccountLedger, label: int, records: Records) -> None:
        """Put `records` (R, E), at least one, in the place of all that is known of a list."""
        if label == self._geometry.num_classes:
            account.meter.marks, account.meter.peak = [], 0.0
        elif number := self._known(account, label):
            self.accounts.numbers[account.slot, label] = NO_LEDGER
            self._close([number])
        self.extend(account, label, records)

    def append(self, owner: str, account: AccountLedger, label: int, records: Records) -> Append:
        """An append of `records` (R, E) behind what is known of a list; of none, a question."""
        key = LedgerKey(owner, self._geometry.digest, label)
        if label == self._geometry.num_classes:
            marks = account.meter.records
            return Append(key, len(marks), records, account.generation, packed_end(marks))
        number = self._known(account, label)
        version, behind = int(self.table.version[number]), packed_end(self.table.end(number))
        return Append(key, version, records, account.generation, behind)

    def question(self, owner: str, account: AccountLedger, label: int) -> Append:
        """An append of nothing: whether the list is as it is known."""
        return self.append(owner, account, label, self._nothing)

    def version(self, account: AccountLedger, label: int) -> int:
        """Number of records of a class."""
        return int(self.table.version[self._known(account, label)])

    def cqs(self, account: AccountLedger, label: int) -> float:
        """Cqs of a class."""
        return float(self.table.cqs[self._known(account, label)])

    def number(self, account: AccountLedger, label: int) -> int:
        """Number of the account's ledger of class `label`, opened if it has none."""
        if account.is_released:
            raise LedgerError("expected an account in memory, got one that was released")
        number = self._known(account, label)
        if number == NO_LEDGER:
            number = self.accounts.numbers[account.slot, label] = self.table.open(label)
        return number

    def _new(self, owner: str) -> AccountLedger:
        slot = self.accounts.open()
        return AccountLedger(owner, self.accounts, slot, self._geometry.embedding_width)

    def _known(self, account: AccountLedger, label: int) -> int:
        return int(self.accounts.numbers[account.slot, label])

    def _mark(self, account: AccountLedger, records: Records) -> None:
        account.meter.extend(records)
        self.accounts.set_peak(account.slot, account.meter.peak)

    def _close(self, numbers: Sequence[int]) -> None:
        self.search.drop(numbers)
        self.table.close(numbers)

    def _append(self, numbers: Numbers, counts: Numbers, lists: Sequence[Records]) -> None:
        records = lists[0] if len(lists) == 1 else np.concatenate(lists)
        labels = np.repeat(self.table.label[numbers], counts)
        self.keep(numbers, counts, records, record_weights(self._geometry, records, labels))


def _require_finite(label: int, records: Records) -> None:
    if not np.isfinite(records).all():
        raise LedgerCorrupt(
            f"expected finite records of class {label} in the store, got NaN or infinity; "
            "restore the store from a backup"
        )
