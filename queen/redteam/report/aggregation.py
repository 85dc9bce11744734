"""From rows to what is read: means over seeds, and the worst that any attack did.

A row is a cell's, see `queen.redteam.runs.measure`; figures are shares, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from queen.redteam.report.rows import Row

PLAIN = "knockoff"
"""The attack without a trick, which published tables show."""
KEY = (
    *("dataset", "defense", "profile", "budget", "pool"),
    *("accounts", "linked", "queries"),
)
FIGURES = (
    *("clean_prefix_floor", "clean_prefix_queries", "label_only_floor"),
    *("honest_accuracy", "honest_flip_rate"),
)
"""Figures that are the same for every attack of a standing."""


_SUFFIXES = {"queen-epoch-shadows": " (epoch shadows)"}


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (of the sample; None for one seed) over seeds."""

    mean: float
    sd: float | None
    seeds: int


@dataclass(frozen=True)
class Standing:
    """How one defence stands in one setting, over all attacks and seeds that met it.

    `attacks` are accuracies of copies and `fidelities` their agreement with the protectee.
    `worst` is the max over attacks, taken seed by seed, and `worst_attack` the attack with
    the largest mean. `plain` is None where nobody only copied. `curve` pairs a history
    with an honest account's accuracy there.
    """

    key: Row
    attacks: dict[str, Spread]
    fidelities: dict[str, Spread | None]
    worst: Spread
    worst_attack: str
    figures: dict[str, Spread | None]
    traffic: dict[str, Spread | None]
    curve: list[tuple[int, Spread | None]]

    @property
    def plain(self) -> Spread | None:
        """The attack without a trick."""
        return self.attacks.get(PLAIN)

    @property
    def title(self) -> str:
        """The defence in a few words."""
        return defense_title(self.key)


def spread(values: Iterable[float | None]) -> Spread | None:
    """Mean and standard deviation of the values that exist; None if none does."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(mean(known), stdev(known) if len(known) > 1 else None, len(known))


def standings(rows: Sequence[Row]) -> list[Standing]:
    """One standing for each setting, in the order of the rows; rows without a copy are no use."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row["clone_accuracy"] is not None:
            groups.setdefault(tuple(row[name] for name in KEY), []).append(row)
    return [_standing(group) for group in groups.values()]


def defense_title(key: Row) -> str:
    """A defence in a few words: `strict n100`, `modelguard-w`."""
    if key["profile"] is None:
        return str(key["defense"])
    suffix = _SUFFIXES.get(str(key["defense"]), "")
    return f"{key['profile']} n{key['budget']}{suffix}"


def _standing(rows: Sequence[Row]) -> Standing:
    by_attack: dict[str, list[Row]] = {}
    by_seed: dict[int, list[Row]] = {}
    for row in rows:
        by_attack.setdefault(row["attack"], []).append(row)
        by_seed.setdefault(row["seed"], []).append(row)
    attacks = {name: _known(group, "clone_accuracy") for name, group in by_attack.items()}
    worst = spread(max(row["clone_accuracy"] for row in group) for group in by_seed.values())
    if worst is None:
        raise ValueError("expected at least 1 row, got 0")
    # Of an attack that shares its seeds' figures any row tells them: take one a seed.
    one_each = [group[0] for group in by_seed.values()]
    plain = by_attack.get(PLAIN, rows)
    return Standing(
        key={name: rows[0][name] for name in KEY},
        attacks=attacks,
        fidelities={
            name: spread(row["fidelity"] for row in group) for name, group in by_attack.items()
        },
        worst=worst,
        worst_attack=max(attacks, key=lambda name: attacks[name].mean),
        figures={name: spread(row[name] for row in one_each) for name in FIGURES},
        traffic={
            name: spread(row[name] for row in plain) for name in ("mean_l1", "reversed_fraction")
        },
        curve=_curve(one_each),
    )


def _known(rows: Iterable[Row], name: str) -> Spread:
    found = spread(row[name] for row in rows)
    if found is None:
        raise ValueError(f"expected a {name}, got none")
    return found


def _curve(rows: Sequence[Row]) -> list[tuple[int, Spread | None]]:
    curves = [row["honest_curve"] for row in rows if row["honest_curve"]]
    if not curves:
        return []
    return [
        (int(points[0][0]), spread(point[1] for point in points))
        for points in zip(*curves, strict=True)
    ]
