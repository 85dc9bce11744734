"""Budgets and the thresholds that follow from them."""

from __future__ import annotations

from collections import OrderedDict

from queen.errors import ConfigError, InvalidQuery
from queen.method.geometry import FloatArray, Geometry
from queen.method.sensitivity import budget_thresholds

_KEPT = 1024
"""Distinct budgets whose thresholds are kept; more are computed again."""


class Thresholds:
    """T_y for each budget in use, computed once.

    `default_budget` stands in where an account has none of its own. Raises ConfigError
    if it is above the packing limit: no account could ever reach it.
    """

    def __init__(
        self, geometry: Geometry, mean_squared_sqs: FloatArray, default_budget: int
    ) -> None:
        self.default_budget = default_budget
        self._geometry = geometry
        self._mean_squared_sqs = mean_squared_sqs
        self._default_budget = default_budget
        self._default = budget_thresholds(geometry, mean_squared_sqs, default_budget)
        self._tables: OrderedDict[int, FloatArray] = OrderedDict()

    def in_force(self, budget: int) -> int:
        """The budget that `budget` stands for, in records of a class."""
        return budget or self._default_budget

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

    def _compute(self, budget: int) -> FloatArray:
        try:
            return budget_thresholds(self._geometry, self._mean_squared_sqs, budget)
        except ConfigError as error:
            raise InvalidQuery(f"accounts: {error}", field="accounts.budget") from error
