"""The files in docs/results."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from queen.redteam.learner import LEARNER
from queen.redteam.plans.cell import Cell
from queen.redteam.plans.full import full_plan
from queen.redteam.report.rows import Row
from queen.results.files import adopt, bench_rows, learned_rows, machine_of, read_content


def test_rows_of_several_files_follow_each_other(tmp_path: Path) -> None:
    """In the order of the files."""
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for index, file in enumerate(files):
        file.write_text(json.dumps({"bench": "links", "rows": [{"seed": index}]}))
    assert read_content(files[1])["bench"] == "links"
    assert bench_rows(files) == [{"seed": 0}, {"seed": 1}]


def red_team_row(cell: Cell, copy: float, learner: int | None = LEARNER) -> Row:
    """A row of a run, as far as its file looks at it."""
    return {**asdict(cell), "cell": cell.name, "clone_accuracy": copy, "learner": learner}


def test_rows_of_a_run_are_added_in_the_order_of_the_plan(tmp_path: Path) -> None:
    """A row replaces that of its cell, a line each; rows of another learner go."""
    first, second, third = full_plan().cells()[:3]
    path = tmp_path / "redteam-fashion-mnist.json"
    path.write_text(json.dumps([red_team_row(third, 0.3), red_team_row(first, 0.9, learner=None)]))
    run = tmp_path / "rows.jsonl"
    new = [
        red_team_row(second, 0.2),
        red_team_row(first, 0.5),
        red_team_row(first, 0.1),
        red_team_row(replace(first, seed=9), 0.4),
        red_team_row(third, 0.8, learner=None),
    ]
    run.write_text("".join(f"{json.dumps(row)}\n" for row in new))
    assert adopt(run, tmp_path) == {path.name: 4}
    assert [row["clone_accuracy"] for row in learned_rows(path)] == [0.1, 0.2, 0.3, 0.4]
    assert len(path.read_text().splitlines()) == 4 + 2
    assert learned_rows(tmp_path / "redteam-digits.json") == []


def test_a_machine_is_a_sentence() -> None:
    """With all that `queen bench` notes of it."""
    machine = {"processor": "Fast", "cores": 2, "python": "3.11.2"}
    assert machine_of({"machine": machine}) == "Machine: Fast, 2 cores, Python 3.11.2."
