"""The section on the demo."""

from __future__ import annotations

import json
from pathlib import Path

from queen.results.demo import demo_section


def test_a_run_of_the_demo_is_a_row(tmp_path: Path) -> None:
    """Accuracies in percent, in the order of the titles, and the honest labels that changed."""
    report = {
        "dataset": "digits",
        "seed": 3,
        "budget": 10,
        "thief_queries": 3000,
        "protectee_accuracy": 0.975,
        "honest_accuracy": 0.9625,
        "heavy_accuracy": 0.733,
        "thief_accuracy_undefended": 0.966,
        "thief_accuracy_label_only": 0.963,
        "thief_accuracy_defended": 0.879,
        "clean_prefix_floor": 0.822,
        "reversed_fraction": 0.513,
        "honest_flips_before_budget": 0,
        "honest_queries": 80,
    }
    file = tmp_path / "demo-digits-3.json"
    file.write_text(json.dumps(report))
    _, table = demo_section([file])
    percents = "97.5 | 96.2 | 73.3 | 96.6 | 96.3 | 87.9 | 82.2 | 51.3"
    assert table.splitlines()[-1] == f"| digits | 3 | 10 | 3000 | {percents} | 0 of 80 |"
