"""A plan run from its cells to its report."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from queen.errors import ConfigError
from queen.redteam.plans.cell import Cell
from queen.redteam.plans.selection import Selection
from queen.redteam.report.leaks import LEAKS, write_leaks
from queen.redteam.report.rows import Row
from queen.redteam.runs.evaluator import Evaluator
from queen.redteam.runs.plan_run import PlanRun, run_plan
from queen.redteam.runs.workers import Folders
from tests.unit.redteam.report.sample_rows import leak_row, row

SELECTION = Selection(attacks=("knockoff",), defenses=("none", "top-1"), queries=30)


def measure(_evaluator: Evaluator, cell: Cell) -> Row:
    """A row in no time; the second baseline fails."""
    if cell.defense == "top-1":
        raise ValueError("no such luck")
    return {**row("knockoff", 0, 0.5), **vars(cell), "cell": cell.name, "note": None}


def test_a_run_ends_in_a_report_and_tells_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report has the measured cells, beside a leak that was measured, and names the others."""
    monkeypatch.setattr(Evaluator, "measure", measure)
    console = Console(record=True, width=120)
    write_leaks([leak_row(defense="none", profile=None)], "c", tmp_path / LEAKS)
    run = PlanRun(Folders(tmp_path), selection=SELECTION, command="queen redteam --test")
    assert run_plan(run, console) == 1
    page = (tmp_path / "report.md").read_text()
    assert "`queen redteam --test`" in page
    assert "30.0 (33.0)" in page
    assert "- knockoff on top-1, seed 0" in page
    text = console.export_text()
    assert "Plan smoke: 2 cells, 1 at once." in text
    assert "failed: ValueError: no such luck" in text


def test_a_run_without_a_row_has_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell failed: nothing to show."""
    monkeypatch.setattr(Evaluator, "measure", measure)
    selection = Selection(attacks=("knockoff",), defenses=("top-1",), queries=30)
    assert run_plan(PlanRun(Folders(tmp_path), selection=selection), Console(quiet=True)) == 1
    assert not (tmp_path / "report.md").exists()


def test_unknown_names_stop_the_run(tmp_path: Path) -> None:
    """Before anything is measured."""
    run = PlanRun(Folders(tmp_path), selection=Selection(attacks=("charm",)))
    with pytest.raises(ConfigError, match="attack: expected one of"):
        run_plan(run, Console(quiet=True))
