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
    (line,) = [
        line for line in page.splitlines() if line.startswith("| paper n10 | 2 attacks, 2 seeds |")
    ]
    assert "**85.0 ± 7.1**" in line
    assert "| 75.0 ± 7.1 |" in line
    assert "60.0 ± 0.0 (120)" in line
    assert "30.0 (33.0)" in line
    assert "90.5" in line
    assert "| none | 1 attack, 1 seed | **95.0** | knockoff | 95.0 | 95.0 |" in page
    assert "| paper n10 | **5.0 ± 0.0 (90.5 ± 0.7)** | 2.0 ± 0.0 (70.0 ± 0.0) |" in page
    assert "Nothing else." in page
    assert "- d-dae on none" in page
    assert "| d-dae | 75.0 ± 21.2 | - |" in page
    assert "nan" not in page.lower()


def test_other_settings_have_a_table_of_their_own():
    """Other pools and accounts stand below the setting that most defenses have."""
    rows = [*ROWS, row("s4l", 0, 0.4, pool="mixup"), row("s4l", 0, 0.3, accounts=4, linked=True)]
    page = render_report(standings(rows), [], "queen redteam", "", [])
    _, others = page.split("## Other settings")
    assert "| 1,000 | mixup | one account | paper n10 | 1 attack, 1 seed | **40.0** |" in others
    assert "| 1,000 | in-distribution | 4 accounts, one group | paper n10 |" in others
