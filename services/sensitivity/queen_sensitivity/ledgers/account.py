"""The ledgers of an account, or of a group, in memory: its records by class, and its meter.

A list is named by its label, as in the store: a class, or the number of classes for the marks
of the off-distribution meter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from queen.errors import LedgerCorrupt, LedgerError
from queen.method.geometry import FloatArray
from queen.method.meter.off_distribution import UNKNOWN_LEVEL, AccountMeter
from queen_sensitivity.ledger_store import Append, LedgerKey, Records, packed_end
from queen_sensitivity.ledgers.ledger_memory import ABSENT, LedgerMemory
from queen_sensitivity.ledgers.ledger_table import NO_LEDGER


class Account:
    """An owner in one `generation` of the store; `slot` is its row in the table of accounts.

    `meter` says how far the owner's queries have strayed from the training distribution.
    """

    __slots__ = ("_memory", "generation", "meter", "owner", "slot")

    def __init__(self, owner: str, memory: LedgerMemory, slot: int) -> None:
        self.owner = owner
        self.slot = slot
        self.generation = 0
        self.meter = AccountMeter(memory.geometry.embedding_width)
        self._memory = memory

    @property
    def is_released(self) -> bool:
        """Whether the account has left memory."""
        return self.slot == ABSENT

    @property
    def numbers(self) -> dict[int, int]:
        """Numbers of its ledgers by class."""
        return self._memory.accounts.ledgers(self.slot)

    @property
    def labels(self) -> list[int]:
        """Labels of the lists that are not empty: classes, then the meter's."""
        meter = [self._memory.meter_label] if self.meter.marks else []
        return [*self.numbers, *meter]

    def records(self, label: int) -> Records:
        """The records of a list in memory, (M, E)."""
        if label == self._memory.meter_label:
            return self.meter.records
        return self._memory.ledgers.records(self._number(label))

    def crossed(self, thresholds: FloatArray) -> list[int]:
        """Crossed classes, under `thresholds` T (C,)."""
        numbers = self._memory.accounts.numbers[self.slot]
        labels: list[int] = (self._memory.ledgers.cqs[numbers] > thresholds).nonzero()[0].tolist()
        return labels

    def append(self, label: int, records: Records) -> Append:
        """An append to the store of `records` (R, E), behind those in memory."""
        memory = self._memory
        key = LedgerKey(self.owner, memory.digest, label)
        if label == memory.meter_label:
            marks = self.meter.records
            return Append(key, len(marks), records, self.generation, packed_end(marks))
        ledgers, ledger = memory.ledgers, self._number(label)
        version, behind = int(ledgers.version[ledger]), packed_end(ledgers.end(ledger))
        return Append(key, version, records, self.generation, behind)

    def question(self, label: int) -> Append:
        """An empty append, which asks the store whether a list is the same as in memory."""
        return self.append(label, _nothing(self._memory))

    def extend(self, label: int, records: Records) -> None:
        """Put `records` (R, E), which are in the store, behind those of a list.

        Raises LedgerCorrupt for a record that is not finite: cqs would be NaN, never above
        any threshold, and the account would never be reversed. And for one of another width.
        """
        self._require_sound(label, records)
        if label == self._memory.meter_label:
            self._extend_meter(records)
        elif len(records):
            self._memory.accounts.unjudge(self.slot)
            self._memory.keep_lists([self.open_ledger(label)], [records])

    def replace(self, label: int, records: Records) -> None:
        """Put `records` (R, E), at least one, in the place of those of a list."""
        if label == self._memory.meter_label:
            self.meter.clear()
        elif ledger := self._number(label):
            self._memory.accounts.numbers[self.slot, label] = NO_LEDGER
            self._memory.close([ledger])
        self.extend(label, records)

    def open_ledger(self, label: int) -> int:
        """Number of the ledger of a class, which is opened if there is none.

        Raises LedgerError for an account that was released.
        """
        if self.slot == ABSENT:
            raise LedgerError("expected an account in memory, got one that was released")
        ledger = self._number(label)
        if ledger == NO_LEDGER:
            ledger = self._memory.ledgers.open(label)
            self._memory.accounts.numbers[self.slot, label] = ledger
        return ledger

    def release(self) -> None:
        """Forget the whole account, which must not be used any longer."""
        if not self.is_released:
            self._memory.close(list(self.numbers.values()))
            self._memory.accounts.close(self.slot)
            # The slot will belong to another account.
            self.slot = ABSENT

    def restore(self, stored: Mapping[int, Records]) -> dict[int, Records]:
        """Keep the marks among the `stored` lists; returns the others by number of their ledger."""
        ledgers = {}
        for label, records in stored.items():
            self._require_sound(label, records)
            if label == self._memory.meter_label:
                self._extend_meter(records)
            elif len(records):
                ledgers[self.open_ledger(label)] = records
        if ledgers:
            self._memory.accounts.level[self.slot] = UNKNOWN_LEVEL
        return ledgers

    def _require_sound(self, label: int, records: Records) -> None:
        memory = self._memory
        if not 0 <= label <= memory.meter_label:
            raise LedgerCorrupt(
                f"expected ledgers of classes below {memory.meter_label} in the store, got "
                "another; restore the store from a backup"
            )
        width = memory.geometry.embedding_width
        if records.ndim != 2 or records.shape[1] != width:
            raise LedgerCorrupt(
                f"expected records of {width} numbers of class {label} in the store, got another "
                "width; restore the store from a backup"
            )
        if not np.isfinite(records).all():
            raise LedgerCorrupt(
                f"expected finite records of class {label} in the store, got NaN or infinity; "
                "restore the store from a backup"
            )

    def _extend_meter(self, marks: Records) -> None:
        self.meter.extend(marks)
        self._memory.accounts.set_peak(self.slot, self.meter.peak)

    def _number(self, label: int) -> int:
        return int(self._memory.accounts.numbers[self.slot, label])


def absent_account(memory: LedgerMemory) -> Account:
    """The account used for owners that are not in memory: it has no ledger."""
    return Account("", memory, ABSENT)


def restore_accounts(
    memory: LedgerMemory, owners: Sequence[str], stored: Sequence[Mapping[int, Records]]
) -> list[Account]:
    """The accounts of `owners`, whose lists in the store, by label, are `stored`.

    Raises LedgerCorrupt for something else than records; then no account is left in memory.
    """
    accounts = [Account(owner, memory, memory.accounts.open()) for owner in owners]
    ledgers: dict[int, Records] = {}
    try:
        for account, lists in zip(accounts, stored, strict=True):
            ledgers |= account.restore(lists)
        if ledgers:
            memory.keep_lists(list(ledgers), list(ledgers.values()))
    except BaseException:
        for account in accounts:
            account.release()
        raise
    return accounts


def _nothing(memory: LedgerMemory) -> Records:
    return np.empty((0, memory.geometry.embedding_width), np.float32)
