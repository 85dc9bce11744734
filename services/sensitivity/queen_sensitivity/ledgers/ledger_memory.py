"""The memory of all accounts: their table, their ledgers, and what the store has not of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from queen.method.crossing import OwnerThresholds
from queen.method.geometry import FloatArray, Geometry
from queen.method.growing import grown
from queen.method.sensitivity import record_weights
from queen_sensitivity.ledger_store import Records
from queen_sensitivity.ledgers.ledger_table import LedgerTable, Numbers
from queen_sensitivity.ledgers.neighbor_index import NeighborIndex
from queen_sensitivity.metrics import Level

ABSENT = 0
"""Slot of an account that is not in memory: it has no ledger, and nothing is due."""
_UNKNOWN = -1
_COLUMNS = {
    "numbers": 0,
    "level": 0.0,
    "peak": 0.0,
    "lacking": 1,
    "judged": _UNKNOWN,
    "is_in_doubt": False,
    "checked_at": 0.0,
    "due": np.inf,
    "used": 0,
}
"""The arrays, each with its value for an unknown account."""

Slots = NDArray[np.int64]


class AccountTable:
    """Accounts by slot: N of them, C classes.

    `numbers` (N, C) are those of their ledgers in the ledger table. `level` and `peak` (N,) are
    those of their off-distribution meters; `lacking` (N,) is the number of further classes whose
    crossing would put the account over its budget, 0 once it is over, under the policy whose id
    is `judged` (N,). About an account that is over, off-distribution or in doubt, the store is to
    be asked again at `due` (N,) seconds; about others never.
    """

    def __init__(self, classes: int, limit: float, recheck_seconds: float) -> None:
        self.classes = classes
        self._limit = limit
        self._recheck_seconds = recheck_seconds
        self.free: list[int] = []
        """Slots of accounts that left, which are used again."""
        self._opened = 1
        self.numbers = np.zeros((64, classes), np.int32)
        self.level = np.zeros(64)
        self.peak = np.zeros(64)
        self.lacking = np.ones(64, np.int64)
        self.judged = np.full(64, _UNKNOWN, np.int64)
        self.is_in_doubt = np.zeros(64, np.bool_)
        self.checked_at = np.zeros(64)
        self.due = np.full(64, np.inf)
        self.used = np.zeros(64, np.int64)
        """Time of the account's last query, as a count of all accounts that asked before."""

    def open(self) -> int:
        """Slot of a new account, with the values of an unknown account."""
        if not self.free:
            if self._opened == len(self.level):
                self._grow()
            self.free.append(self._opened)
            self._opened += 1
        return self.free.pop()

    def close(self, slot: int) -> None:
        """Forget an account."""
        for name, fill in _COLUMNS.items():
            getattr(self, name)[slot] = fill
        self.free.append(slot)

    def ledgers(self, slot: int) -> dict[int, int]:
        """Numbers of an account's ledgers by class."""
        row = self.numbers[slot]
        labels = row.nonzero()[0]
        return dict(zip(labels.tolist(), row[labels].tolist(), strict=True))

    def set_peak(self, slot: int, peak: float) -> None:
        """Note the highest mark of an account's meter."""
        self.peak[slot] = peak
        self.schedule(np.array([slot]))

    def doubt(self, slots: Slots, checked_at: float) -> None:
        """Note that the store, asked at `checked_at`, may have lost records of these accounts."""
        self.is_in_doubt[slots] = True
        self.checked_at[slots] = checked_at
        self.schedule(slots)

    def checked(self, slots: Slots, now: float) -> None:
        """Note that the store was asked about these accounts."""
        self.is_in_doubt[slots] = False
        self.checked_at[slots] = now
        self.schedule(slots)

    def unjudge(self, slot: int) -> None:
        """Have the next batch judge the account by its records again."""
        self.judged[slot] = _UNKNOWN

    def judge(self, slots: Slots, policy_id: int, lacking: NDArray[np.integer]) -> None:
        """Note what these accounts lack (S,) under a policy, by its id."""
        self.judged[slots] = policy_id
        self.lacking[slots] = lacking
        self.schedule(slots)

    def schedule(self, slots: Slots) -> None:
        """Set `due` after a change of the arrays that it follows from."""
        is_spent = (self.lacking[slots] == 0) | (self.peak[slots] >= self._limit)
        is_asked = is_spent | self.is_in_doubt[slots]
        due = self.checked_at[slots] + self._recheck_seconds
        self.due[slots] = np.where(is_asked, due, np.inf)

    def _grow(self) -> None:
        larger = 2 * len(self.level)
        for name, fill in _COLUMNS.items():
            setattr(self, name, grown(getattr(self, name), larger, fill))


class LedgerMemory:
    """Keeps the tables and the index in step, under one geometry."""

    def __init__(
        self,
        geometry: Geometry,
        accounts: AccountTable,
        ledgers: LedgerTable,
        index: NeighborIndex,
    ) -> None:
        self.geometry = geometry
        self.digest = geometry.digest
        self.meter_label = geometry.num_classes
        """Label of the list of an account's meter; below it are those of the classes."""
        self.accounts = accounts
        self.ledgers = ledgers
        self.index = index

    def keep(
        self, numbers: Numbers, counts: Numbers, records: Records, weights: FloatArray
    ) -> None:
        """Append `records` (R, E) with their `weights` (R,), `counts` (L,) to each of `numbers`.

        The caller judges their accounts again.
        """
        self.ledgers.extend(numbers, counts, records, weights)
        self.index.add(numbers, counts, records)

    def keep_lists(self, numbers: Sequence[int], lists: Sequence[Records]) -> None:
        """Append a list of records (M, E), none empty, to each of `numbers`."""
        rows, counts = np.array(numbers), np.array([len(records) for records in lists])
        records = lists[0] if len(lists) == 1 else np.concatenate(lists)
        labels = np.repeat(self.ledgers.label[rows], counts)
        self.keep(rows, counts, records, record_weights(self.geometry, records, labels))

    def close(self, numbers: Sequence[int]) -> None:
        """Forget ledgers."""
        self.index.drop(numbers)
        self.ledgers.close(numbers)

    def judge(self, slots: Slots, thresholds: OwnerThresholds) -> None:
        """Judge some accounts (S,) by their records, under their thresholds."""
        for policy_id, table in thresholds.tables.items():
            of_policy = slots[thresholds.policy_ids == policy_id]
            if len(of_policy):
                cqs = self.ledgers.cqs[self.accounts.numbers[of_policy]]
                self.accounts.judge(of_policy, policy_id, table.lacking(cqs))


class UnwrittenRecords:
    """Owners with records in memory alone, since the store took none: an operator's choice.

    There are at most `most` of these records, and `level` shows how many. Their owners stay in
    memory, and no append of theirs is sent, until all is written back.
    """

    def __init__(self, most: int, level: Level) -> None:
        self._most = most
        self._level = level
        self._counts: dict[str, int] = {}
        self.total = 0
        """Records of all owners."""

    def __len__(self) -> int:
        return len(self._counts)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._counts))

    def __contains__(self, owner: object) -> bool:
        return owner in self._counts

    def hold(self, owner: str, records: int) -> bool:
        """Hold so many further records of an owner; whether there was room for them."""
        if self.total + records > self._most or not self._most:
            return False
        if not records:
            return owner in self._counts
        self._counts[owner] = self._counts.get(owner, 0) + records
        self._show()
        return True

    def release(self, owner: str) -> None:
        """Note that an owner has none any longer: they were written, or its account is void."""
        if self._counts.pop(owner, None) is not None:
            self._show()

    def _show(self) -> None:
        self.total = sum(self._counts.values())
        self._level.set(self.total)
