"""A plan: the cells that a run measures, in parts, the most useful part first.

All seeds of a part come before the next part: where time is short, the last parts are left out, not
the last seeds. A screened part is measured with the first seed; the rows say which of its attacks
meet the other seeds, after all parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from queen.defaults import BREADTH, CLASS_CAP
from queen.method.contracts import Profile
from queen.redteam.attacks import ATTACKS
from queen.redteam.defenses import DEFENSES
from queen.redteam.plans.cell import QUEEN, Cell
from queen.redteam.plans.screening import Screening, deviation_text
from queen.redteam.report.rows import Row, versions_text

PROFILES = tuple(profile.value for profile in Profile if profile is not Profile.OBSERVE)
IN, MIXUP, SHIFT, OFF = "in-distribution", "mixup", "shift", "off-distribution"
NEED_AN_ENDPOINT = ("hurried",)
"""Attacks on the clock, which a deployment in one process does not have."""


class DefenseSetting(NamedTuple):
    """A defense with its profile and its crossing policy, which only Queen has."""

    defense: str
    profile: str | None = None
    budget: int | None = None
    breadth: int | None = None
    class_cap: int | None = None


class AccountSpread(NamedTuple):
    """The number of accounts that share the queries, and whether they are one group."""

    accounts: int
    linked: bool


@dataclass(frozen=True)
class Part:
    """Every attack against every defense, on every pool, spread and number of queries."""

    title: str
    attacks: Sequence[str]
    against: Sequence[DefenseSetting]
    pools: Sequence[str] = (IN,)
    spreads: Sequence[AccountSpread] = (AccountSpread(1, linked=False),)
    queries: Sequence[int] | None = None
    """Numbers of queries; None for the plan's."""
    is_screened: bool = False
    """Whether only contenders meet the other seeds, see `queen.redteam.plans.screening`."""
    members: int = 1
    """Copies of the ensembles with which the best attack of a screened setting is measured again;
    1 for none."""


@dataclass(frozen=True)
class Plan:
    """Parts in order of worth; `left_out` names the missing parts for readers of the report."""

    name: str
    dataset: str
    queries: int
    budget: int
    seeds: Sequence[int]
    parts: Sequence[Part]
    left_out: str = ""

    def cells(self) -> list[Cell]:
        """The cells that are known from the start, without repeats, in the order of measuring."""
        return list(dict.fromkeys(cell for part in self.parts for cell in self.cells_of(part)))

    def left_out_of(self, rows: Sequence[Row]) -> str:
        """The text on the missing parts, with what the rows tell about it."""
        screens = any(part.is_screened for part in self.parts)
        deviation = deviation_text(rows) if screens else ""
        return " ".join(text for text in (self.left_out, deviation, versions_text(rows)) if text)

    def further_cells(self, rows: Sequence[Row]) -> list[Cell]:
        """The cells that follow from rows: contenders of all screened parts, then ensembles."""
        screenings = [self.screening(part) for part in self.parts if part.is_screened]
        contenders = (cell for screening in screenings for cell in screening.contenders(rows))
        ensembles = (cell for screening in screenings for cell in screening.ensembles(rows))
        return list(dict.fromkeys([*contenders, *ensembles]))

    def screening(self, part: Part) -> Screening:
        """The choice among the cells of a screened part."""
        return Screening(list(self.cells_of(part)), self.seeds[1:], part.members)

    def cells_of(self, part: Part) -> Iterator[Cell]:
        """The cells of a part, all seeds of a setting together; of a screened part, the first."""
        queries = part.queries or (self.queries,)
        seeds = self.seeds[:1] if part.is_screened else self.seeds
        cells = product(part.attacks, part.against, part.pools, part.spreads, queries, seeds)
        for attack, setting, pool, spread, asked, seed in cells:
            yield Cell(
                self.dataset,
                setting.defense,
                setting.profile,
                setting.budget,
                attack,
                pool,
                spread.accounts,
                spread.linked,
                asked,
                seed,
                setting.breadth,
                setting.class_cap,
            )


def ours(
    *budgets: int,
    profiles: Iterable[str] = PROFILES,
    defense: str = QUEEN,
    breadth: int = BREADTH,
    class_cap: int = CLASS_CAP,
) -> list[DefenseSetting]:
    """Queen under all of these profiles and budgets, with one breadth and class cap."""
    return [
        DefenseSetting(defense, profile, budget, breadth, class_cap)
        for budget in budgets
        for profile in profiles
    ]


def baselines(*names: str) -> list[DefenseSetting]:
    """Baselines of these names, or all of them."""
    return [DefenseSetting(name) for name in names or DEFENSES]


def attacks_without(*names: str) -> list[str]:
    """All attacks that need no endpoint, without those of these names."""
    return [name for name in ATTACKS if name not in (*names, *NEED_AN_ENDPOINT)]
