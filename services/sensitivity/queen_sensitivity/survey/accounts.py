"""Accounts as an operator sees them, read straight from the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from queen.errors import AccountNotFound
from queen.method.geometry import FloatArray, Geometry
from queen.method.off_distribution import OffDistributionMeter
from queen.method.sensitivity import Thresholds, record_weights
from queen_sensitivity.ledger_store import LedgerStore, Records

ACCOUNTS_AT_A_TIME = 64
"""Accounts that a pass over all of them reads in one go."""


@dataclass(frozen=True, eq=False)
class AccountState:
    """The records of one account by class, its cqs by class, and the thresholds T (C,) of `budget`.

    `off_distribution` is the highest mark of its off-distribution meter over the limit; at
    1 the account is off-distribution for good.
    """

    account_id: str
    records: Mapping[int, Records]
    cqs: Mapping[int, float]
    thresholds: FloatArray
    off_distribution: float
    budget: int

    @property
    def record_count(self) -> int:
        """Records over all classes."""
        return sum(len(records) for records in self.records.values())

    @property
    def crossed(self) -> list[int]:
        """Crossed classes, under the thresholds T."""
        return [label for label, cqs in self.cqs.items() if cqs > self.thresholds[label]]

    @property
    def budget_spent(self) -> float:
        """Largest share of the budget that is spent in any class."""
        shares = (cqs / float(self.thresholds[label]) for label, cqs in self.cqs.items())
        return max(shares, default=0.0)


class AccountReader:
    """Reads accounts; safe beside the dispatcher thread, since both share only the store.

    `thresholds` must not be the engine's: a budget other than the default adds a table to them,
    so that only one thread may ask for such budgets.
    """

    def __init__(
        self,
        geometry: Geometry,
        thresholds: Thresholds,
        store: LedgerStore,
        meter: OffDistributionMeter,
    ) -> None:
        self._geometry = geometry
        self._meter = meter
        self._thresholds = thresholds
        self._store = store

    def page(
        self, after: str, size: int, budgets: Mapping[str, int] = MappingProxyType({})
    ) -> tuple[list[AccountState], bool]:
        """The first `size` accounts above the id `after`, and whether there are more.

        Each is measured against its budget in `budgets`, or the default. Raises InvalidQuery
        for a budget above the packing limit.
        """
        account_ids = self._store.list_accounts(self._geometry.digest, after, size + 1)
        states = [
            self._read(account_id, budgets.get(account_id, 0)) for account_id in account_ids[:size]
        ]
        return states, len(account_ids) > size

    def get(self, account_id: str, budget: int = 0) -> AccountState:
        """An account, measured against a budget, 0 for the default.

        Raises AccountNotFound for an account without records, and InvalidQuery for a budget above
        the packing limit.
        """
        state = self._read(account_id, budget)
        if not state.records and not state.off_distribution:
            raise AccountNotFound(
                "expected an account with records under this bundle, got one without",
                field="account_id",
            )
        return state

    def _read(self, account_id: str, budget: int) -> AccountState:
        thresholds = self._thresholds.table(budget)
        stored = dict(self._store.load(account_id, self._geometry.digest))
        marks = stored.pop(self._geometry.num_classes, None)
        level = 0.0 if marks is None else float(marks[:, 0].max(initial=0.0))
        cqs = {label: self._cqs(label, records) for label, records in stored.items()}
        share = level / self._meter.limit
        budget = self._thresholds.in_force(budget)
        return AccountState(account_id, stored, cqs, thresholds, share, budget)

    def _cqs(self, label: int, records: Records) -> float:
        weights = record_weights(self._geometry, records, np.full(len(records), label))
        # A running sum, as the ledgers keep it: the same bits.
        return float(np.add.accumulate(weights)[-1])
