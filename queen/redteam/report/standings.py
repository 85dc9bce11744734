"""Standings of defenses: means over seeds, and the most accurate copy of any attack.

A row is a cell's, see `queen.redteam.runs.evaluator`; figures are shares, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from queen.redteam.report.rows import Row

PLAIN = "knockoff"
"""The plain copy, which published tables show."""
KEY = (
    *("dataset", "defense", "profile", "budget", "pool"),
    *("accounts", "linked", "queries"),
)
FIGURES = (
    *("clean_prefix_floor", "clean_prefix_queries", "label_only_floor"),
    *("honest_accuracy", "honest_flip_rate"),
)
"""Figures that are the same for every attack of a standing."""
TRAFFIC = ("mean_l1", "reversed_fraction")
"""Figures of the traffic of an attack."""


_SUFFIXES = {"queen-epoch-shadows": " (epoch shadows)"}


@dataclass(frozen=True)
class OverSeeds:
    """Mean and standard deviation over seeds (of the sample; None for a single seed)."""

    mean: float
    sd: float | None
    seeds: int


@dataclass(frozen=True)
class Standing:
    """A defense in a setting, over all attacks and seeds that met it.

    `attacks` are accuracies of copies and `fidelities` their agreement with the protectee.
    `worst` is the largest accuracy over attacks, seed by seed, and `worst_attack` the attack
    with the largest mean. `curve` pairs a history with an honest account's accuracy there.
    """

    key: Row
    attacks: dict[str, OverSeeds]
    fidelities: dict[str, OverSeeds | None]
    worst: OverSeeds
    worst_attack: str
    figures: dict[str, OverSeeds | None]
    traffic: dict[str, OverSeeds | None]
    curve: list[tuple[int, OverSeeds | None]]

    @property
    def plain(self) -> OverSeeds | None:
        """The plain copy; None if that attack was not run."""
        return self.attacks.get(PLAIN)

    @property
    def title(self) -> str:
        """The defense in a few words."""
        return defense_title(self.key)


def over_seeds(values: Iterable[float | None]) -> OverSeeds | None:
    """Mean and standard deviation of the values that exist; None without any."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return OverSeeds(mean(known), stdev(known) if len(known) > 1 else None, len(known))


def standings(rows: Sequence[Row]) -> list[Standing]:
    """A standing for each setting, in the order of the rows; rows without a copy do not count."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row["clone_accuracy"] is not None:
            groups.setdefault(tuple(row[name] for name in KEY), []).append(row)
    return [_standing(group) for group in groups.values()]


def defense_title(key: Row) -> str:
    """A defense in a few words: `strict n100`, `modelguard-w`."""
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
    worst = over_seeds(max(row["clone_accuracy"] for row in group) for group in by_seed.values())
    if worst is None:
        raise ValueError("expected at least 1 row, got 0")
    # All attacks of a seed share these figures: read them from the first row.
    first_rows = [group[0] for group in by_seed.values()]
    plain = by_attack.get(PLAIN, rows)
    return Standing(
        key={name: rows[0][name] for name in KEY},
        attacks=attacks,
        fidelities={
            name: over_seeds(row["fidelity"] for row in group) for name, group in by_attack.items()
        },
        worst=worst,
        worst_attack=max(attacks, key=lambda name: attacks[name].mean),
        figures={name: over_seeds(row[name] for row in first_rows) for name in FIGURES},
        traffic={
            name: over_seeds(row[name] for row in plain)
            for name in ("mean_l1", "reversed_fraction")
        },
        curve=_curve(first_rows),
    )


def _known(rows: Iterable[Row], name: str) -> OverSeeds:
    known = over_seeds(row[name] for row in rows)
    if known is None:
        raise ValueError(f"expected a {name}, got none")
    return known


def _curve(rows: Sequence[Row]) -> list[tuple[int, OverSeeds | None]]:
    curves = [row["honest_curve"] for row in rows if row["honest_curve"]]
    if not curves:
        return []
    return [
        (int(points[0][0]), over_seeds(point[1] for point in points))
        for points in zip(*curves, strict=True)
    ]
