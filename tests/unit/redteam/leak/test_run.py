"""A measurement of the leak, from a plan to its file."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from queen.errors import ConfigError
from queen.redteam.leak.meter import LeakMeter
from queen.redteam.leak.run import leak_cells, run_leak
from queen.redteam.plans.cell import Cell
from queen.redteam.plans.plan import PROFILES
from queen.redteam.plans.selection import Selection
from queen.redteam.report.leaks import read_leaks
from queen.redteam.report.rows import Row
from queen.redteam.runs.plan_run import PlanRun
from queen.redteam.runs.workers import Folders
from tests.unit.redteam.report.sample_rows import leak_row


def test_every_profile_and_baseline_is_measured_once(tmp_path: Path) -> None:
    """At the budget of the plan, seed by seed; options select among them."""
    cells = leak_cells(PlanRun(Folders(tmp_path), "full"))
    assert {cell.profile for cell in cells if cell.is_ours} == set(PROFILES)
    assert {cell.budget for cell in cells if cell.is_ours} == {100}
    assert len({(cell.defense, cell.profile, cell.seed) for cell in cells}) == len(cells)
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells)
    run = PlanRun(Folders(tmp_path), selection=Selection(profiles=("strict",), seeds=(3,)))
    (cell,) = leak_cells(run)
    assert (cell.profile, cell.dataset, cell.seed) == ("strict", "digits", 3)


def test_the_figures_are_shown_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of each measurement is in leak.json, where the report of a run looks for it."""

    def measure(_meter: LeakMeter, cell: Cell) -> list[Row]:
        return [leak_row(profile=cell.profile, defense=cell.defense, seed=cell.seed)]

    monkeypatch.setattr(LeakMeter, "measure", measure)
    console = Console(record=True, width=120)
    run = PlanRun(Folders(tmp_path), selection=Selection(profiles=("paper",), seeds=(0, 1)))
    run_leak(run, console)
    rows = read_leaks(tmp_path / "leak.json")
    assert [(row["profile"], row["seed"]) for row in rows] == [("paper", 0), ("paper", 1)]
    assert "paper" in console.export_text()


def test_unknown_names_stop_the_measurement(tmp_path: Path) -> None:
    """Before anything is measured."""
    run = PlanRun(Folders(tmp_path), selection=Selection(profiles=("charm",)))
    with pytest.raises(ConfigError, match="profile: expected one of"):
        run_leak(run, Console(quiet=True))
