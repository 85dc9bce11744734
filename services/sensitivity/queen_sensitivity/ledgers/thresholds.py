"""Budgets and the thresholds that follow from them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from queen.errors import ConfigError, InvalidQuery
from queen.method.geometry import FloatArray, Geometry
from queen.method.sensitivity import budget_thresholds

_KEPT = 1024
"""Distinct budgets whose thresholds are kept; more are computed again."""


class OwnerThresholds(NamedTuple):
    """The thresholds of O owners."""

    budgets: NDArray[np.int64]
    """Budget of each owner, (O,); 0 for the service's own."""
    tables: Mapping[int, FloatArray]
    """T (C,) of every budget among them."""

    def of_owner(self, owner: int) -> FloatArray:
        """T (C,) of an owner."""
        return self.tables[int(self.budgets[owner])]

    def of_ledgers(self, owner: NDArray[np.integer], labels: NDArray[np.integer]) -> FloatArray:
        """T (L,) of ledgers, by their owner and class, (L,) each."""
        thresholds: FloatArray
        if len(self.tables) == 1:
            (table,) = self.tables.values()
            thresholds = table[labels]
            return thresholds
        distinct = sorted(self.tables)
        rows = np.searchsorted(np.array(distinct), self.budgets)
        thresholds = np.stack([self.tables[budget] for budget in distinct])[rows[owner], labels]
        return thresholds

    def select(self, owners: NDArray[np.integer]) -> OwnerThresholds:
        """The thresholds of some of the owners, by their index (S,)."""
        return OwnerThresholds(self.budgets[owners], self.tables)


class Thresholds:
    """T_y for each budget in use, computed once.

    `default_budget` stands in for accounts without a budget of their own. Raises ConfigError
    if it is above the packing limit: no account could ever reach it.
    """

    def __init__(
        self, geometry: Geometry, mean_squared_sqs: FloatArray, default_budget: int
    ) -> None:
        self.default_budget = default_budget
        self._geometry = geometry
        self._mean_squared_sqs = mean_squared_sqs
        self._default = budget_thresholds(geometry, mean_squared_sqs, default_budget)
        self._tables: OrderedDict[int, FloatArray] = OrderedDict()

    def in_force(self, budget: int) -> int:
        """`budget`, or the default budget in place of 0, in records of a class."""
        return budget or self.default_budget

    def table(self, budget: int) -> FloatArray:
        """T (C,) for `budget` records of a class, 0 for the default.

        Raises InvalidQuery for a budget above the packing limit.
        """
        if budget == 0:
            return self._default
        if budget not in self._tables:
            self._tables[budget] = self._compute(budget)
            if len(self._tables) > _KEPT:
                self._tables.popitem(last=False)
        return self._tables[budget]

    def of_budgets(self, budgets: Sequence[int]) -> OwnerThresholds:
        """The thresholds of owners with these budgets, (O,); errors as in `table`."""
        tables = {budget: self.table(budget) for budget in set(budgets)}
        if len(tables) == 1:
            # Mostly so, and several times faster than the list for many owners.
            same = np.empty(len(budgets), np.int64)
            same.fill(budgets[0])
            return OwnerThresholds(same, tables)
        return OwnerThresholds(np.array(budgets, np.int64), tables)

    def _compute(self, budget: int) -> FloatArray:
        try:
            return budget_thresholds(self._geometry, self._mean_squared_sqs, budget)
        except ConfigError as error:
            raise InvalidQuery(f"accounts: {error}", field="accounts.budget") from error
