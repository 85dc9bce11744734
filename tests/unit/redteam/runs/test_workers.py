"""A run can be stopped at any cell and continued."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from queen.redteam.learner import LEARNER
from queen.redteam.plans.cell import Cell
from queen.redteam.plans.smoke import smoke_plan
from queen.redteam.report.rows import Row, RowFile
from queen.redteam.runs.evaluator import Evaluator
from queen.redteam.runs.workers import FAILED, ROWS, Folders, adopt_rows, run_cells
from tests.unit.redteam.report.sample_rows import row

CELLS = smoke_plan().cells()[:6]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Cells are measured in no time; the list holds those that were, by name."""
    names: list[str] = []

    def measure(_evaluator: Evaluator, cell: Cell) -> Row:
        names.append(cell.name)
        return {**row(cell.attack, cell.seed, cell.seed / 7), "cell": cell.name}

    monkeypatch.setattr(Evaluator, "measure", measure)
    return names


def _interrupt_at(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Evaluator.measure

    def measure(evaluator: Evaluator, cell: Cell) -> Row:
        if cell == CELLS[index]:
            raise KeyboardInterrupt
        return whole(evaluator, cell)

    monkeypatch.setattr(Evaluator, "measure", measure)


def test_an_interrupted_run_goes_on_where_it_was(
    tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch
):
    """Killed in the middle and continued, it gives the rows of a run that was left alone."""
    whole = run_cells(CELLS, Folders(tmp_path / "whole")).rows
    measured.clear()
    with monkeypatch.context() as broken:
        _interrupt_at(3, broken)
        with pytest.raises(KeyboardInterrupt):
            run_cells(CELLS, Folders(tmp_path / "again"))
    assert len(RowFile(tmp_path / "again" / ROWS, LEARNER).rows) == 3
    assert run_cells(CELLS, Folders(tmp_path / "again")).rows == whole
    assert measured == [cell.name for cell in CELLS]


def test_a_finished_run_measures_nothing(tmp_path: Path, measured: list[str]):
    """The rows are read from the file, and the bar is told of them."""
    run_cells(CELLS, Folders(tmp_path))
    measured.clear()
    told: list[Cell] = []
    assert len(run_cells(CELLS, Folders(tmp_path), on_row=told.append).rows) == len(CELLS)
    assert told == CELLS
    assert measured == []


def test_a_run_goes_on_from_the_report_of_another(tmp_path: Path, measured: list[str]):
    """Rows of the present learner are adopted once; those of another are measured again."""
    rows = run_cells(CELLS, Folders(tmp_path / "first")).rows
    report = tmp_path / "report.json"
    report.write_text(json.dumps([*rows[:4], {**rows[4], "learner": LEARNER - 1}]))
    measured.clear()
    assert adopt_rows(report, Folders(tmp_path / "second")) == (4, 1)
    assert adopt_rows(report, Folders(tmp_path / "second")) == (0, 5)
    assert run_cells(CELLS, Folders(tmp_path / "second")).rows == rows
    assert measured == [cell.name for cell in CELLS[4:]]


def test_a_torn_line_is_measured_again(tmp_path: Path, measured: list[str]):
    """A process that was killed while it wrote costs that one row, not the file."""
    run_cells(CELLS, Folders(tmp_path))
    file = tmp_path / ROWS
    file.write_text(file.read_text()[:-20])
    measured.clear()
    assert len(run_cells(CELLS, Folders(tmp_path)).rows) == len(CELLS)
    assert measured == [CELLS[-1].name]
    assert len(file.read_text().splitlines()) == len(CELLS)


def test_a_failure_costs_its_own_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The others go on, the reason is written, and the next run tries again."""

    def measure(_evaluator: Evaluator, cell: Cell) -> Row:
        if cell == CELLS[1] and not (tmp_path / "mended").exists():
            raise ValueError("first line\nsecond line")
        return {"cell": cell.name, "learner": LEARNER}

    monkeypatch.setattr(Evaluator, "measure", measure)
    outcome = run_cells(CELLS, Folders(tmp_path))
    assert len(outcome.rows) == len(CELLS) - 1
    assert outcome.failed[CELLS[1].name].reason == "ValueError: first line"
    told = json.loads((tmp_path / FAILED).read_text())
    assert told["title"] == CELLS[1].title
    assert "measure" in told["traceback"]
    (tmp_path / "mended").touch()
    assert len(run_cells(CELLS, Folders(tmp_path)).rows) == len(CELLS)
