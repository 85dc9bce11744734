"""The pictures of a report."""

from __future__ import annotations

from pathlib import Path

from queen.redteam.report.plots import draw_plots
from queen.redteam.report.standings import standings
from tests.unit.redteam.report.sample_rows import BASELINE, ROWS, row


def test_every_picture_is_drawn(tmp_path: Path) -> None:
    """Whether or not the run has cells for it."""
    rows = [
        *ROWS,
        row("knockoff", 0, 0.95, **BASELINE),
        row("knockoff", 0, 0.5, queries=500),
        row("knockoff", 0, 0.9, accounts=4, linked=True),
    ]
    for folder, run in (("some", rows), ("none", [])):
        (tmp_path / folder).mkdir()
        files = draw_plots(standings(run), tmp_path / folder)
        names = [file.name for file in files]
        assert names == ["clone_by_budget.png", "pareto.png", "honest_history.png", "sybil.png"]
        assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
