"""Standings as tables of a page."""

from __future__ import annotations

from queen.redteam.report.markdown import percent, render_report
from queen.redteam.report.standings import over_seeds, standings
from tests.unit.redteam.report.sample_rows import BASELINE, ROWS, leak_row, row


def test_one_seed_has_no_deviation():
    """A single figure is told without one, and none at all is none."""
    assert over_seeds([0.5]).sd is None
    assert over_seeds([None]) is None
    assert percent(over_seeds([0.5])) == "50.0"
    assert percent(over_seeds([0.5, 0.7])) == "60.0 ± 14.1"
    assert percent(None) == "-"


def test_the_page_has_the_floors_beside_the_worst():
    """Every defense has a line with all three; the page names the missing parts."""
    rows = [*ROWS, row("knockoff", 0, 0.95, **BASELINE)]
    page = render_report(
        *(standings(rows), [leak_row()], "queen redteam", "Nothing else.", ["d-dae on none"])
    )
    (line,) = [line for line in page.splitlines() if line.startswith("| paper n10 | 75.0")]
    assert "**85.0 ± 7.1**" in line
    assert "60.0 ± 0.0 (120)" in line
    assert "30.0 (33.0)" in line
    assert "90.5" in line
    assert "| none | 95.0 |" in page
    assert "| digits | paper n10 | **5.0 ± 0.0 (90.5 ± 0.7)** | 2.0 ± 0.0 (70.0 ± 0.0) |" in page
    assert "Nothing else." in page
    assert "- d-dae on none" in page
    assert "nan" not in page.lower()
