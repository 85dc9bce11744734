"""The sweep: every policy, thief and kind, measured once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from queen.method.crossing import CAP_OFF
from queen.redteam.frontier import customers, sweep
from queen.redteam.frontier.report import report_frontier
from queen.redteam.frontier.sweep import Sweep, run_sweep
from queen.redteam.report.rows import Row
from queen.redteam.runs.experiment import Experiment
from queen.redteam.runs.workers import Folders

SMALL = Sweep("digits", (0,), 3, (1, 3), (2, CAP_OFF), 400, honest_accounts=4)


@pytest.fixture(name="folders")
def folders_of_the_small_experiment(
    small_experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Folders:
    """Folders of a sweep over the small experiment; honest accounts are short."""
    monkeypatch.setattr(sweep, "Experiment", lambda *_: small_experiment)
    monkeypatch.setattr(customers, "QUERIES", 300)
    return Folders(tmp_path / "out", small_experiment.cache.root)


def test_a_sweep_goes_on_where_it_stopped(folders: Folders) -> None:
    """Rows of the first run are not measured again, and the report has all of them."""
    begun: list[Row] = []
    for row in run_sweep(SMALL, folders):
        begun.append(row)
        if "thief" in row:
            break
    kinds, policies = 7, 3
    assert len(begun) == kinds * policies + 1
    written = (folders.out / "rows.jsonl").read_text()
    report_frontier(SMALL, folders, "queen bench frontier", Console(quiet=True))
    assert (folders.out / "rows.jsonl").read_text().startswith(written)
    rows = json.loads((folders.out / "frontier.json").read_text())
    assert rows[: len(begun)] == begun
    assert len(rows) == kinds * policies + 3 * 3 * policies
    copies = {row["cell"]: row["copy"] for row in rows if row.get("copy") is not None}
    assert all(0.05 < copy <= 1 for copy in copies.values())
    for row in rows:
        if "thief" in row and row["copy"] is None:
            # The copy of a thief with far fewer answers of every class is not trained.
            same = [other for other in rows if other.get("accounts") == row["accounts"]]
            assert max(other.get("clean", 0) for other in same) > 1.25 * row["clean"]
    assert "queen bench frontier" in (folders.out / "frontier.md").read_text()
    assert (folders.out / "frontier.png").is_file()


def test_a_thief_wants_the_classes_of_doubtful_answers(folders: Folders) -> None:
    """More accounts or a broader policy never leave fewer clean answers."""
    rows = [row for row in run_sweep(SMALL, folders) if "thief" in row]
    clean = {
        (row["thief"], row["accounts"], row["breadth"], row["class_cap"]): row["clean"]
        for row in rows
    }
    for thief in ("even", "hoarding"):
        assert clean[thief, 1, 1, None] <= clean[thief, 1, 3, None]
        assert clean[thief, 1, 3, 2] <= clean[thief, 3, 3, 2]
    assert clean["even", 1, 1, None] == clean["class split", 1, 1, None]
