"""The memory of all accounts: their table, the table of their ledgers, and the index over it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from queen.method.geometry import FloatArray, Geometry
from queen.method.sensitivity import record_weights
from queen_sensitivity.ledger_store import Records
from queen_sensitivity.ledgers.account_table import AccountTable, Slots
from queen_sensitivity.ledgers.ledger_table import LedgerTable, Numbers
from queen_sensitivity.ledgers.neighbor_index import NeighborIndex
from queen_sensitivity.ledgers.thresholds import OwnerThresholds


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

        The caller sees to `is_crossed` of their accounts.
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
        """Find out whether any class of some accounts (S,) is crossed under their thresholds."""
        for budget, table in thresholds.tables.items():
            of_budget = slots[thresholds.budgets == budget]
            if len(of_budget):
                is_over = self.ledgers.cqs[self.accounts.numbers[of_budget]] > table
                self.accounts.judge(of_budget, budget, is_over.any(axis=1))
