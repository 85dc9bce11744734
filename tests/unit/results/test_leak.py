"""The section on the leak."""

from __future__ import annotations

from pathlib import Path

from queen.redteam.report.leaks import write_leaks
from queen.results.leak import leak_section
from tests.unit.redteam.report.sample_rows import leak_row


def test_a_measurement_gets_a_section_with_its_command(tmp_path: Path) -> None:
    """A line for each defense and kind of rows, under the command and the seeds."""
    file = tmp_path / "leak-digits.json"
    rows = [leak_row(seed=0), leak_row(seed=1), leak_row(profile="strict", leak=0.0, bound=0.01)]
    write_leaks(rows, "queen redteam --leak", file)
    text, lines, _ = leak_section([file])
    assert "`queen redteam --leak`" in text
    assert "Secrets:\n8; queries of one account: 1,000; seeds: 0, 1." in text
    assert "| strict n10 | flagged | 90.0 | 60.0 | 95.0 | 85.0 | 0.0 | 1.0 |" in lines
    assert leak_section([]) == []
