"""The section on the demo."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from queen.demo.report import CustomerFigures, DemoReport, ThiefFigures
from queen.results.demo import demo_section


def test_a_caller_is_a_row_over_all_seeds(tmp_path: Path) -> None:
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
    _, table, _ = demo_section([file])
    run = "| digits | 10 | 1 |"
    assert table.splitlines()[2:] == [
        f"{run} a thief, mixtures | 3,000 | 96.6 | 51.3 | 120 | 52.2 | - | - |",
        f"{run} an ordinary customer | 80 | 97.5 | 97.5 | all | - | 0 | 0 |",
        f"{run} heavy, on everything | 2,000 | 97.0 | 70.0 | 488 | - | 12 | 1,500 |",
    ]
    customers[0] = replace(customers[0], right=0.955, refused=4, first=60)
    thief = replace(thief, clean=140, floor=0.542)
    other = replace(report, thieves=[thief], customers=customers, seed=4)
    second = tmp_path / "demo-digits-4.json"
    second.write_text(json.dumps(asdict(other)))
    _, table, _ = demo_section([file, second])
    mixtures, ordinary, _ = table.splitlines()[2:]
    assert mixtures.startswith("| digits | 10 | 2 |")
    assert mixtures.endswith("| 130 | 53.2 ± 1.4 | - | - |")
    assert ordinary.endswith("| 97.5 ± 0.0 | 96.5 ± 1.4 | 60, in 1 of 2 | - | 0 | 2 |")
