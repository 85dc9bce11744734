"""Screening: the first seed of every attack says which attacks must meet the other seeds.

An attack whose copy of the first seed is far below the best copy of its setting cannot be the best
one on the mean over seeds, so its other seeds decide nothing. A setting is all of a cell but its
attack and its seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import mean

import numpy as np

from queen.redteam.plans.cell import Cell
from queen.redteam.report.rows import Row

MARGIN = 0.015
"""Accuracy below the best copy of the first seed from which an attack does not contend.

Several times the deviation that `seed_deviation` finds.
"""
OWN_LEARNERS = (
    *("s4l", "ssl-prefix", "ssl-active", "two-heads", "slopes"),
    *("art-knockoff", "art-copycat"),
)
"""Attacks that train their last copy in a way of their own: it gets no company."""

Setting = tuple[object, ...]


@dataclass(frozen=True)
class Screening:
    """Cells of the first seed, the other seeds of the plan, and the members of ensembles."""

    cells: Sequence[Cell]
    seeds: Sequence[int]
    members: int = 1

    def contenders(self, rows: Iterable[Row]) -> list[Cell]:
        """The cells of the other seeds for attacks within MARGIN of the best copy.

        `rows` are all rows so far; the best copy may be of an attack that was not screened.
        """
        known = [row for row in rows if row["clone_accuracy"] is not None]
        accuracies = {row["cell"]: row["clone_accuracy"] for row in known}
        best: dict[Setting, float] = {}
        for row in known:
            if row["seed"] not in self.seeds:
                setting = setting_of(row)
                best[setting] = max(best.get(setting, 0.0), row["clone_accuracy"])
        return [
            replace(cell, seed=seed)
            for cell in self.cells
            if cell.name in accuracies
            and accuracies[cell.name] >= best[setting_of(asdict(cell))] - MARGIN
            for seed in self.seeds
        ]

    def ensembles(self, rows: Iterable[Row]) -> list[Cell]:
        """For each setting, all seeds of its best attack again, with ensembles of copies.

        None where ensembles have one member, nor for a setting until its contenders are measured.
        """
        if self.members == 1:
            return []
        rows = list(rows)
        measured = {row["cell"] for row in rows}
        settings: dict[Setting, Cell] = {}
        for cell in self.cells:
            settings.setdefault(setting_of(asdict(cell)), cell)
        waiting = {
            setting_of(asdict(cell))
            for cell in (*self.cells, *self.contenders(rows))
            if cell.name not in measured
        }
        champions = {
            setting: _champion(rows, setting, 1 + len(self.seeds))
            for setting in settings
            if setting not in waiting
        }
        return [
            replace(settings[setting], attack=attack, seed=seed, members=self.members)
            for setting, attack in champions.items()
            if attack is not None
            for seed in (settings[setting].seed, *self.seeds)
        ]


def setting_of(figures: Mapping[str, object]) -> Setting:
    """The setting of a row, or of a cell as a mapping."""
    return tuple(figures[name] for name in _SETTING)


_SETTING = tuple(name for name in Cell.__dataclass_fields__ if name not in {"attack", "seed"})


def seed_deviation(rows: Iterable[Row]) -> float | None:
    """Standard deviation of an attack's accuracy over seeds, beside the others of its setting.

    What the seed does to all attacks of a setting alike is taken away first, since it ranks none of
    them. Pooled over the settings in which two attacks or more met the same seeds; None without
    any.
    """
    settings: dict[Setting, dict[str, dict[int, float]]] = {}
    for row in rows:
        if row["clone_accuracy"] is not None:
            attacks = settings.setdefault(setting_of(row), {})
            attacks.setdefault(row["attack"], {})[row["seed"]] = row["clone_accuracy"]
    squares, freedom = 0.0, 0
    for attacks in settings.values():
        seeds = set().union(*attacks.values())
        table = [
            [by_seed[seed] for seed in sorted(seeds)]
            for by_seed in attacks.values()
            if len(by_seed) == len(seeds)
        ]
        if len(table) > 1 and len(seeds) > 1:
            residuals = np.array(table)
            residuals -= residuals.mean(axis=1, keepdims=True)
            residuals -= residuals.mean(axis=0, keepdims=True)
            squares += float(np.square(residuals).sum())
            freedom += (len(table) - 1) * (len(seeds) - 1)
    return math.sqrt(squares / freedom) if freedom else None


def deviation_text(rows: Iterable[Row]) -> str:
    """A sentence on the deviation beside the margin; empty where no rows tell it."""
    deviation = seed_deviation(rows)
    if deviation is None:
        return ""
    return (
        f"The margin of the screening is {100 * MARGIN:g} points; the deviation of an attack over "
        f"seeds, beside the others of its setting, is {100 * deviation:.1f}."
    )


def _champion(rows: Sequence[Row], setting: Setting, seeds: int) -> str | None:
    """The attack of a setting with the largest mean over all seeds."""
    accuracies: dict[str, list[float]] = {}
    for row in rows:
        if setting_of(row) == setting and row["clone_accuracy"] is not None:
            accuracies.setdefault(row["attack"], []).append(row["clone_accuracy"])
    means = {
        attack: mean(values)
        for attack, values in accuracies.items()
        if len(values) == seeds and attack not in OWN_LEARNERS
    }
    return max(means, key=lambda attack: means[attack], default=None)
