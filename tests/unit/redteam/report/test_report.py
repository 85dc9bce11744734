"""A report is files and tables on the screen."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from rich.console import Console

from queen.redteam.report.picture import PICTURE
from queen.redteam.report.report import Report, write_report
from tests.unit.redteam.report.sample_rows import BASELINE, ROWS, leak_row, row


def test_a_report_is_written_in_four_forms(tmp_path: Path):
    """JSON and CSV hold the rows, Markdown the tables, PNG the picture; the table is shown."""
    rows = [
        *ROWS,
        row("knockoff", 0, 0.95, **BASELINE),
        row("knockoff", 0, 0.5, queries=500),
        row("knockoff", 0, 0.85, budget=20),
        row("knockoff", 0, 0.9, accounts=4, linked=True),
    ]
    console = Console(record=True, width=120)
    report = Report(rows, "queen redteam --smoke", leaks=[leak_row()])
    write_report(report, tmp_path, console)
    assert json.loads((tmp_path / "report.json").read_text()) == rows
    with (tmp_path / "report.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    assert "queen redteam --smoke" in (tmp_path / "report.md").read_text()
    assert (tmp_path / PICTURE).read_bytes().startswith(b"\x89PNG")
    text = console.export_text()
    assert "paper n10" in text
    assert "30.0 (33.0)" in text


def test_rows_without_a_copy_make_an_empty_page(tmp_path: Path):
    """A row that has nothing to compare is told with its reason."""
    rows = [row("d-dae", 0, None, note="no class 3")]
    write_report(Report(rows, "c"), tmp_path, Console(quiet=True))
    assert "- d-dae on paper n10, seed 0: no class 3" in (tmp_path / "report.md").read_text()
    assert (tmp_path / PICTURE).exists()
