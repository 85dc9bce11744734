"""The report of the demo, as JSON and as a table."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from queen.demo.report import DemoReport, print_report


def test_the_json_has_every_figure(report: DemoReport, tmp_path: Path) -> None:
    """Curves and histories included."""
    report.write(tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["curve"] == {
        "queries": [30, 60],
        "undefended": [0.5, 0.9],
        "defended": [0.5, 0.6],
    }
    assert written["thief_accuracy_label_only"] == 0.85
    assert len(written["heavy_history"]) == 8


def test_the_table_shows_the_price_as_well(report: DemoReport) -> None:
    """The thief's loss, the heavy account's accuracy and the floor stand beside each other."""
    console = Console(record=True, width=140)
    print_report(report, console)
    text = console.export_text()
    assert "cost the thief 30.0 points" in text
    assert "0 of 20 honest labels changed" in text
    assert "copy made of the 30 answers before the first reversal" in text
    assert "60.0 %" in text
