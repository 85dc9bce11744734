"""A part of a plan, or cells of one's own, chosen on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from queen.redteam.plans.cells import OURS, QUEEN, Cell
from queen.redteam.plans.plan import IN, PROFILES, Opponents, Part, Plan, Spread


@dataclass(frozen=True)
class Choice:
    """What was asked for; an empty tuple or None leaves it to the plan.

    `dataset`, `seeds` and `queries` replace the plan's own; the others pick from its cells.
    """

    dataset: str | None = None
    seeds: tuple[int, ...] = ()
    queries: int | None = None
    defenses: tuple[str, ...] = ()
    attacks: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    budgets: tuple[int, ...] = ()
    pools: tuple[str, ...] = ()
    accounts: tuple[int, ...] = ()
    linked: bool | None = None

    def apply(self, plan: Plan) -> list[Cell]:
        """The plan's cells that are all that was named.

        Where something was named that none of these has, every combination of the names
        instead. Raises ConfigError for a name that is not known.
        """
        plan = self._replaced(plan)
        picked = [cell for cell in plan.cells() if self._takes(cell)]
        if self._covers(picked):
            return picked
        return replace(plan, parts=(self._part(plan),)).cells()

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
            ("pool", self.pools),
            ("accounts", self.accounts),
            ("linked", linked),
        ]

    def _takes(self, cell: Cell) -> bool:
        return all(not names or getattr(cell, field) in names for field, names in self._named())

    def _covers(self, cells: Sequence[Cell]) -> bool:
        return all(
            {getattr(cell, field) for cell in cells} >= set(names) for field, names in self._named()
        )

    def _part(self, plan: Plan) -> Part:
        spreads: list[Spread] = [(number, bool(self.linked)) for number in self.accounts or (1,)]
        return Part(
            "chosen",
            self.attacks or ("knockoff",),
            self._opponents(plan),
            self.pools or (IN,),
            spreads,
        )

    def _opponents(self, plan: Plan) -> Opponents:
        found: list[tuple[str, str | None, int | None]] = []
        for defense in self.defenses or (QUEEN,):
            if defense not in OURS:
                found.append((defense, None, None))
                continue
            for budget in self.budgets or (plan.budget,):
                found += [(defense, profile, budget) for profile in self.profiles or PROFILES]
        return found
