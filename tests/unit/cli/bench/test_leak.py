"""The table of `queen bench leak`."""

from __future__ import annotations

from queen.cli.bench.leak import leak_table
from tests.unit.cli.tables import shown


def test_what_was_not_measured_is_left_empty() -> None:
    """The control has no cost, and `refuse` no flagged answers to send in bursts."""
    row = {
        "profile": "refuse",
        "held": "none",
        "compares": "recorded, covered",
        "auc_one": 0.714,
        "auc_fastest_of_8": 0.9,
        "auc_p10_of_40": 1.0,
        "auc_in_burst": None,
        "auc_inside_outside": 0.646,
        "auc_covered_outside": 0.5,
    }
    figures = ["0.71", "0.90", "1.00", "", "0.65", "0.50", "", ""]
    assert shown(leak_table([row]))[-1] == ["refuse", "none", *figures]
