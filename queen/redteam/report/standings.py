"""Standings of defenses: means over seeds, and the most accurate copy of any attack.

A row is a cell's, see `queen.redteam.runs.evaluator`; figures are shares, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from queen.redteam.plans.cell import policy_title
from queen.redteam.report.rows import Row

PLAIN = "knockoff"
"""The plain copy, which published tables show."""
KEY = (
    *("dataset", "defense", "profile", "budget", "breadth", "class_cap", "pool"),
    *("accounts", "linked", "queries", "learner"),
)
"""The fields of a setting: rows that differ in one of them are never compared by attack."""
FLOORS = ("clean_prefix_floor", "label_only_floor")
"""Copies that no later answer prevents; of the copies that were made, the best counts."""
SHARED = ("clean_prefix_queries", "protectee_accuracy")
"""Figures that are the same for every attack of a standing; those of honest accounts apart."""
TRAFFIC = ("mean_l1", "reversed_fraction")
"""Figures of the traffic of an attack."""
Curve = list[tuple[int, "OverSeeds | None"]]
"""Pairs of a history and the accuracy there."""
_SUFFIXES = {"queen-epoch-shadows": " (epoch shadows)"}


@dataclass(frozen=True)
class OverSeeds:
    """Mean and standard deviation over seeds (of the sample; None for a single seed)."""

    mean: float
    sd: float | None
    seeds: int


@dataclass(frozen=True)
class KindStanding:
    """The honest accounts of a kind of traffic, over seeds.

    `harmed` is the share of their queries whose label was changed or that were refused.
    """

    accuracy: OverSeeds | None
    harmed: OverSeeds | None
    curve: Curve


@dataclass(frozen=True)
class Standing:
    """A defense in a setting, over all attacks and seeds that met it.

    `attacks` are accuracies of copies and `fidelities` their agreement with the protectee; an
    ensemble counts as an attack of its own there, and not in `met`, the number of attacks.
    `worst` is the largest accuracy over attacks, seed by seed, and `worst_attack` the attack
    with the largest mean. `kinds` are the kinds of honest traffic, and `honest_kind` the one with
    the largest mean share of harmed queries (of equals, the first). Honest figures and the `curve`,
    which pairs a history with the accuracy there, are of that kind.
    """

    key: Row
    met: int
    attacks: dict[str, OverSeeds]
    fidelities: dict[str, OverSeeds | None]
    worst: OverSeeds
    worst_attack: str
    figures: dict[str, OverSeeds | None]
    traffic: dict[str, OverSeeds | None]
    kinds: dict[str, KindStanding]
    honest_kind: str

    @property
    def curve(self) -> Curve:
        """The history of the kind that is harmed most; empty if no account was measured."""
        return self.kinds[self.honest_kind].curve if self.kinds else []

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
            groups.setdefault(tuple(row.get(name) for name in KEY), []).append(row)
    return [_standing(group) for group in groups.values()]


def defense_title(key: Row) -> str:
    """A defense in a few words: `strict n100 b5`, `modelguard-w`."""
    if key["profile"] is None:
        return str(key["defense"])
    suffix = _SUFFIXES.get(str(key["defense"]), "")
    return f"{key['profile']} {policy_title(key)}{suffix}"


def _standing(rows: Sequence[Row]) -> Standing:
    by_attack: dict[str, list[Row]] = {}
    by_seed: dict[int, list[Row]] = {}
    for row in rows:
        by_attack.setdefault(_attack_name(row), []).append(row)
        by_seed.setdefault(row["seed"], []).append(row)
    attacks = {name: _known(group, "clone_accuracy") for name, group in by_attack.items()}
    worst = over_seeds(max(row["clone_accuracy"] for row in group) for group in by_seed.values())
    if worst is None:
        raise ValueError("expected at least 1 row, got 0")
    # All attacks of a seed share these figures: read them from the first row.
    first_rows = [group[0] for group in by_seed.values()]
    plain = by_attack.get(PLAIN, rows)
    kinds = _kinds(first_rows)
    worst_kind = max(kinds, key=lambda kind: _mean(kinds[kind].harmed), default="")
    return Standing(
        key={name: rows[0].get(name) for name in KEY},
        met=len({row["attack"] for row in rows}),
        attacks=attacks,
        fidelities={
            name: over_seeds(row["fidelity"] for row in group) for name, group in by_attack.items()
        },
        worst=worst,
        worst_attack=max(attacks, key=lambda name: attacks[name].mean),
        figures={name: over_seeds(row.get(name) for row in first_rows) for name in SHARED}
        | {name: _best(by_seed.values(), name) for name in FLOORS}
        | {
            "honest_accuracy": kinds[worst_kind].accuracy if kinds else None,
            "honest_harmed": kinds[worst_kind].harmed if kinds else None,
        },
        traffic={name: over_seeds(row[name] for row in plain) for name in TRAFFIC},
        kinds=kinds,
        honest_kind=worst_kind,
    )


def _attack_name(row: Row) -> str:
    """The attack of a row, with the size of its ensemble: `knockoff x3`."""
    return str(row["attack"]) if row["members"] == 1 else f"{row['attack']} x{row['members']}"


def _best(seeds: Iterable[Sequence[Row]], name: str) -> OverSeeds | None:
    """The largest value of each seed, over seeds."""
    known = [[row[name] for row in rows if row[name] is not None] for rows in seeds]
    return over_seeds(max(values, default=None) for values in known)


def _known(rows: Iterable[Row], name: str) -> OverSeeds:
    known = over_seeds(row[name] for row in rows)
    if known is None:
        raise ValueError(f"expected a {name}, got none")
    return known


def _kinds(rows: Sequence[Row]) -> dict[str, KindStanding]:
    """The kinds of honest traffic of rows of different seeds; none for a foreign endpoint."""
    by_seed = [row["honest_by_kind"] for row in rows if row.get("honest_by_kind")]
    names = dict.fromkeys(kind for kinds in by_seed for kind in kinds)
    return {name: _kind([kinds[name] for kinds in by_seed if name in kinds]) for name in names}


def _kind(figures: Sequence[Mapping[str, Any]]) -> KindStanding:
    points = zip(*(seed["curve"] for seed in figures), strict=True)
    return KindStanding(
        over_seeds(seed["accuracy"] for seed in figures),
        over_seeds(seed["flip_rate"] + seed["refused"] for seed in figures),
        [(int(at[0][0]), over_seeds(point[1] for point in at)) for at in points],
    )


def _mean(figure: OverSeeds | None) -> float:
    return figure.mean if figure else 0.0
