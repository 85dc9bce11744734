"""Screening: rows of the first seed choose the cells of the other seeds."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from queen.redteam.plans.cell import Cell
from queen.redteam.plans.plan import Part, Plan, ours
from queen.redteam.plans.screening import MARGIN, deviation_text, seed_deviation
from queen.redteam.report.rows import Row

PLAN = Plan(
    name="p",
    dataset="digits",
    queries=100,
    budget=10,
    seeds=(3, 4),
    parts=(
        Part("plain", ["knockoff"], ours(10, profiles=("strict",))),
        Part(
            "every attack",
            ["d-dae", "s4l", "invert-argmin"],
            ours(10, profiles=("strict", "paper")),
            is_screened=True,
            members=3,
        ),
    ),
)
ACCURACIES = {
    "knockoff": 0.8,
    "d-dae": 0.8 - MARGIN / 2,
    "s4l": 0.8 + MARGIN / 3,
    "invert-argmin": 0.7,
}


def measured(cells: list[Cell]) -> list[Row]:
    """Rows of cells; an attack is as accurate under `paper`, but for d-dae."""
    return [
        {
            **asdict(cell),
            "cell": cell.name,
            "clone_accuracy": None
            if (cell.attack, cell.profile) == ("d-dae", "paper")
            else ACCURACIES[cell.attack],
        }
        for cell in cells
    ]


def test_a_screened_part_begins_with_the_first_seed() -> None:
    """Other parts have all seeds at once."""
    seeds = {part.title: {cell.seed for cell in PLAN.cells_of(part)} for part in PLAN.parts}
    assert seeds == {"plain": {3, 4}, "every attack": {3}}


def test_contenders_are_near_the_best_copy_of_their_setting() -> None:
    """The best copy may be of another part; an attack without a copy does not contend."""
    further = PLAN.further_cells(measured(PLAN.cells()))
    assert [(cell.attack, cell.profile, cell.seed) for cell in further] == [
        ("d-dae", "strict", 4),
        ("s4l", "strict", 4),
        ("s4l", "paper", 4),
    ]


def test_nothing_follows_from_no_rows() -> None:
    """A run that measured nothing has nothing to screen."""
    assert PLAN.further_cells([]) == []


def test_the_best_attack_gets_an_ensemble_once_its_contenders_are_measured() -> None:
    """Of the attacks whose copy can get company; all seeds of it, with more members."""
    rows = measured(PLAN.cells())
    rows += measured(PLAN.further_cells(rows))
    ensembles = [cell for cell in PLAN.further_cells(rows) if cell.members > 1]
    assert [(cell.attack, cell.profile, cell.seed, cell.members) for cell in ensembles] == [
        ("knockoff", "strict", 3, 3),
        ("knockoff", "strict", 4, 3),
    ]
    assert PLAN.further_cells(rows + measured(ensembles)) == PLAN.further_cells(rows)


def test_the_deviation_is_of_attacks_beside_the_others_of_their_setting() -> None:
    """A seed that is easy for all attacks does not count, nor an attack with fewer seeds."""
    rows = measured([*PLAN.cells(), *PLAN.further_cells(measured(PLAN.cells()))])
    for row in rows:
        row["clone_accuracy"] = row["seed"] / 10
    assert seed_deviation(rows) == pytest.approx(0)
    strict = [row for row in rows if row["profile"] == "strict"]
    changes = {"knockoff": 0.02, "d-dae": -0.02, "s4l": 0.0, "invert-argmin": 0.0}
    for row in strict:
        row["clone_accuracy"] += changes[row["attack"]] * (1 if row["seed"] == 3 else -1)
    assert seed_deviation(strict) == pytest.approx(0.02 * 2**0.5)
    assert "is 2.8." in deviation_text(strict)
    assert seed_deviation(strict[:1]) is None
    assert deviation_text([]) == ""
