"""What a run measures, as a list to edit: which attack meets which defence, in order of worth.

A part's cells come for all seeds before the next part begins: where time is short, the
last parts are left out and not the seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from queen.method.contracts import Profile
from queen.redteam.attacks import ATTACKS
from queen.redteam.defenses import DEFENSES
from queen.redteam.plans.cells import QUEEN, QUEEN_EPOCH, Cell

Opponents = Sequence[tuple[str, str | None, int | None]]
"""Defence, profile and budget; the last two are Queen's alone."""
Spread = tuple[int, bool]
"""Accounts, and whether they are one group."""

PROFILES = tuple(profile.value for profile in Profile if profile is not Profile.OBSERVE)
IN, MIXUP, SHIFT, OFF = "in-distribution", "mixup", "shift", "off-distribution"


@dataclass(frozen=True)
class Part:
    """Every attack against every opponent, on every pool, spread and number of queries."""

    title: str
    attacks: Sequence[str]
    against: Opponents
    pools: Sequence[str] = (IN,)
    spreads: Sequence[Spread] = ((1, False),)
    queries: Sequence[int] | None = None
    """None takes the plan's."""


@dataclass(frozen=True)
class Plan:
    """Parts in order of worth; `left_out` says, for the reader of the report, what is not in it."""

    name: str
    dataset: str
    queries: int
    budget: int
    seeds: Sequence[int]
    parts: Sequence[Part]
    left_out: str = ""

    def cells(self) -> list[Cell]:
        """All cells, each once, in the order in which they are measured."""
        found = (cell for part in self.parts for cell in self.cells_of(part))
        return list(dict.fromkeys(found))

    def cells_of(self, part: Part) -> Iterator[Cell]:
        """The cells of one part, all seeds of a setting together."""
        queries = part.queries or (self.queries,)
        every = product(part.attacks, part.against, part.pools, part.spreads, queries, self.seeds)
        for attack, (defense, profile, budget), pool, (accounts, linked), asked, seed in every:
            yield Cell(
                self.dataset,
                defense,
                profile,
                budget,
                attack,
                pool,
                accounts,
                linked,
                asked,
                seed,
            )


def ours(*budgets: int, profiles: Iterable[str] = PROFILES, defense: str = QUEEN) -> Opponents:
    """Queen under every one of these profiles and budgets."""
    return [(defense, profile, budget) for budget in budgets for profile in profiles]


def baselines(*names: str) -> Opponents:
    """Baselines of these names, or all of them."""
    return [(name, None, None) for name in names or DEFENSES]


def _attacks(*without: str) -> list[str]:
    return [name for name in ATTACKS if name not in (*without, *_NEED_AN_ENDPOINT)]


def smoke_plan() -> Plan:
    """Minutes on two cores: every attack and every baseline once, on digits."""
    return Plan(
        name="smoke",
        dataset="digits",
        queries=1_000,
        budget=10,
        seeds=(0,),
        parts=(
            Part("copies of the answers as they are", ["knockoff"], [*ours(10), *baselines()]),
            Part("copies of the labels", ["label-only"], [*ours(10), *baselines()]),
            Part("every attack", _attacks(), ours(10)),
            Part("other budgets", ["knockoff"], ours(20, 40)),
            Part(
                "fewer queries",
                ["knockoff"],
                [*ours(10), *baselines("none")],
                queries=(250, 500),
            ),
            Part(
                "many accounts",
                ["knockoff"],
                ours(10, profiles=PROFILES[-1:]),
                spreads=[(2, False), (8, False), (8, True)],
            ),
            Part("other pools", ["knockoff"], ours(10), pools=(MIXUP, SHIFT, OFF)),
        ),
        left_out=(
            "Digits are small and easy: the figures show that the machinery works, not what a "
            "defence is worth. One seed; of the baselines none but the plain copies."
        ),
    )


def full_plan() -> Plan:
    """About five hours on two cores: Fashion-MNIST, 20,000 queries, three seeds."""
    main, strict = ours(100), ours(100, profiles=(Profile.STRICT.value,))
    return Plan(
        name="full",
        dataset="fashion-mnist",
        queries=20_000,
        budget=100,
        seeds=(0, 1, 2),
        parts=(
            Part("copies of the answers as they are", ["knockoff"], [*main, *baselines(*_MET)]),
            Part("copies of the labels", ["label-only"], [*main, *baselines(*_MET)]),
            Part(
                "attacks that trust the first answers",
                ["early-trust-prefix-only", "two-heads", "early-trust-scan"],
                strict,
            ),
            Part("other pools, defended", _POOL_ATTACKS, strict, pools=(MIXUP, SHIFT, OFF)),
            Part("many accounts", ["knockoff"], strict, spreads=_SPREADS),
            Part("attacks on the strictest profile", _FIRST, strict),
            Part(
                "shadow models as published",
                ["knockoff"],
                ours(100, profiles=("paper",), defense=QUEEN_EPOCH),
            ),
            Part(
                "other pools, undefended",
                ["knockoff"],
                [*baselines("none"), *ours(100, profiles=("paper",))],
                pools=(MIXUP, SHIFT, OFF),
            ),
            Part("other budgets", ["knockoff"], ours(30, 300, profiles=_WITH_A_BUDGET)),
            Part(
                "a budget that 10,000 honest queries do not spend",
                ["knockoff", "label-only"],
                ours(600, profiles=("paper",)),
            ),
            Part(
                "adaptive attacks on the other profiles",
                [
                    *("early-trust-prefix-only", "invert-permutation", "two-heads"),
                    *("disambiguate", "runner-up"),
                ],
                ours(100, profiles=("paper", "balanced")),
            ),
            Part("every other attack on the strictest profile", _OTHERS, strict),
            Part(
                "fewer queries",
                ["knockoff"],
                [*main, *baselines("none")],
                queries=(2_000, 5_000, 10_000),
            ),
            Part("the slowest attacks on the strictest profile", _SLOWEST, strict),
            Part(
                "baselines undone",
                ["d-dae", "disambiguate", "runner-up", "runner-up-ties"],
                baselines("modelguard-w", "mad-argmax", "grad2"),
            ),
            Part(
                "misinformation undone",
                ["discard-disagreement", "two-heads"],
                baselines("adaptive-misinformation"),
            ),
        ),
        left_out=(
            "Not run, for want of time: every attack on every profile (all meet `strict`, the "
            "adaptive ones the others too), adaptive attacks on most baselines, "
            f"{' and '.join(_NEED_AN_ENDPOINT)} (it needs the clock of an endpoint), the baselines "
            f"{' and '.join(_UNMET)}, many accounts under other profiles than `strict`, and more "
            "than 20,000 queries. The early-trust attacks keep a twentieth of the queries, 1,000, "
            "as their prefix; early-trust-scan looks for the best length."
        ),
    )


_WITH_A_BUDGET = tuple(name for name in PROFILES if name != Profile.SAFE.value)
"""`safe` answers alike within the budget and over it."""
_SLOWEST = ("d-dae-plus", "art-copycat")
"""Attacks that take many minutes and are variants of others."""
_UNMET = ("adaptive-misinformation-0.2", "grad2-all-ones")
"""Baselines that are variants of others that run."""
_MET = tuple(name for name in DEFENSES if name not in _UNMET)
_FIRST = (
    *("invert-mixture", "discard-disagreement", "full-knowledge-discard", "twice-ask-drop"),
    *("d-dae", "partial-bayes", "s4l", "jbda-tr", "full-knowledge-invert", "art-knockoff"),
)
_NEED_AN_ENDPOINT = ("hurried",)
"""Attacks on the clock, of which a deployment in one process has none."""
_OTHERS = tuple(_attacks(*_FIRST, *_SLOWEST))
_POOL_ATTACKS = ("knockoff", "early-trust-prefix-only")
_SPREADS: Sequence[Spread] = [
    *((number, True) for number in (10, 100, 1000)),
    *((number, False) for number in (10, 1000)),
]


PLANS = {"smoke": smoke_plan, "full": full_plan}
