"""The report of the demo, as JSON and as a table."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

from queen.demo.report import DemoReport, closing_sentence, print_report


def test_the_json_has_every_figure(report: DemoReport, tmp_path: Path) -> None:
    """Those of thieves and customers included."""
    report.write(tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())
    assert written == asdict(report)
    assert written["thieves"][0]["floor"] == 0.7


def test_the_table_shows_the_price_as_well(report: DemoReport) -> None:
    """The thief's loss and each customer's stand beside each other."""
    console = Console(record=True, width=160)
    print_report(report, console)
    text = console.export_text()
    assert "copy 90.0 %" in text
    assert "30 clean answers; a copy of these alone: 70.0 %" in text
    assert "no label changed, no query refused" in text
    assert "10 labels changed and 4 queries refused, the first after 0 queries" in text


def test_the_last_sentence_names_who_pays(report: DemoReport) -> None:
    """Or says that nobody does."""
    assert "cost the thieves up to 30 points. Unhappy customer: 10 labels" in closing_sentence(
        report
    )
    spared = replace(report, customers=report.customers[:1])
    assert closing_sentence(spared).endswith("No customer noticed anything.")
