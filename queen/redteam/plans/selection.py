"""The cells of a plan that the command line selects, or cells of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from queen.defaults import BREADTH, CLASS_CAP
from queen.redteam.plans.cell import OURS, QUEEN, Cell
from queen.redteam.plans.plan import (
    IN,
    PROFILES,
    AccountSpread,
    DefenseSetting,
    Part,
    Plan,
    baselines,
    ours,
)
from queen.redteam.report.rows import Row


@dataclass(frozen=True)
class Selection:
    """The options of a run; an empty tuple or None leaves the choice to the plan.

    `dataset`, `seeds` and `queries` replace the plan's own; the others select among its cells.
    """

    dataset: str | None = None
    seeds: tuple[int, ...] = ()
    queries: int | None = None
    defenses: tuple[str, ...] = ()
    attacks: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    budgets: tuple[int, ...] = ()
    breadths: tuple[int, ...] = ()
    class_caps: tuple[int, ...] = ()
    pools: tuple[str, ...] = ()
    accounts: tuple[int, ...] = ()
    linked: bool | None = None

    def apply(self, plan: Plan) -> list[Cell]:
        """The cells of the plan that match every option.

        If an option names a value that no cell has, the cells are all combinations of the named
        values instead. Raises ConfigError for an unknown name.
        """
        plan = self._replaced(plan)
        selected = [cell for cell in plan.cells() if self._matches(cell)]
        if self._covers(selected):
            return selected
        return replace(plan, parts=(self._part(plan),)).cells()

    def apply_further(self, plan: Plan, rows: Sequence[Row]) -> list[Cell]:
        """The cells that follow from the rows of those that `apply` selected.

        There are none where the cells are combinations of the named values.
        """
        plan = self._replaced(plan)
        if not self._covers([cell for cell in plan.cells() if self._matches(cell)]):
            return []
        return [cell for cell in plan.further_cells(rows) if self._matches(cell)]

    def _replaced(self, plan: Plan) -> Plan:
        parts = plan.parts
        if self.queries is not None:
            parts = [replace(part, queries=(self.queries,)) for part in parts]
        return replace(
            plan,
            dataset=self.dataset or plan.dataset,
            seeds=self.seeds or plan.seeds,
            queries=self.queries or plan.queries,
            parts=parts,
        )

    def _named(self) -> list[tuple[str, Sequence[object]]]:
        linked = () if self.linked is None else (self.linked,)
        return [
            ("defense", self.defenses),
            ("attack", self.attacks),
            ("profile", self.profiles),
            ("budget", self.budgets),
            ("breadth", self.breadths),
            ("class_cap", self.class_caps),
            ("pool", self.pools),
            ("accounts", self.accounts),
            ("linked", linked),
        ]

    def _matches(self, cell: Cell) -> bool:
        return all(not names or getattr(cell, field) in names for field, names in self._named())

    def _covers(self, cells: Sequence[Cell]) -> bool:
        return all(
            {getattr(cell, field) for cell in cells} >= set(names) for field, names in self._named()
        )

    def _part(self, plan: Plan) -> Part:
        return Part(
            "chosen",
            self.attacks or ("knockoff",),
            self._settings(plan),
            self.pools or (IN,),
            [AccountSpread(accounts, bool(self.linked)) for accounts in self.accounts or (1,)],
        )

    def _settings(self, plan: Plan) -> list[DefenseSetting]:
        settings: list[DefenseSetting] = []
        for defense in self.defenses or (QUEEN,):
            if defense in OURS:
                settings += self._settings_of_ours(plan, defense)
            else:
                settings += baselines(defense)
        return settings

    def _settings_of_ours(self, plan: Plan, defense: str) -> list[DefenseSetting]:
        policies = product(self.breadths or (BREADTH,), self.class_caps or (CLASS_CAP,))
        return [
            setting
            for breadth, class_cap in policies
            for setting in ours(
                *(self.budgets or (plan.budget,)),
                profiles=self.profiles or PROFILES,
                defense=defense,
                breadth=breadth,
                class_cap=class_cap,
            )
        ]
