"""The section on the demo."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from queen.demo.report import CustomerFigures, DemoReport, ThiefFigures
from queen.results.demo import demo_section


def test_a_caller_of_a_run_is_a_row(tmp_path: Path) -> None:
    """Accuracies in percent; a thief's copy and its floor, a customer's labels and refusals."""
    thief = ThiefFigures("thief", "mixtures", 3000, 120, 2880, 0.966, 0.513, 0.522)
    customers = [
        CustomerFigures("ordinary", "an ordinary customer", 80, 0.975, 0.975, 0, 0, None),
        CustomerFigures("all", "heavy, on everything", 2000, 0.7, 0.97, 12, 1500, 488),
    ]
    report = DemoReport(
        *("digits", "strict", 10, 5, 0.975, 0.1, [thief], customers, 3, "digest"),
    )
    file = tmp_path / "demo-digits-3.json"
    file.write_text(json.dumps(asdict(report)))
    _, table = demo_section([file])
    run = "| digits | 3 | 10 |"
    assert table.splitlines()[2:] == [
        f"{run} a thief, mixtures | 3,000 | 96.6 | 51.3 | 120 | 52.2 | - | - |",
        f"{run} an ordinary customer | 80 | 97.5 | 97.5 | all | - | 0 | 0 |",
        f"{run} heavy, on everything | 2,000 | 97.0 | 70.0 | 488 | - | 12 | 1,500 |",
    ]
