"""The table of `queen bench fairness`."""

from __future__ import annotations

from queen.cli.bench.fairness import fairness_table
from tests.unit.cli.tables import shown


def test_shares_and_ratios_stand_with_their_range() -> None:
    """The share that was kept is a percentage, and both latencies stand beside their ratio."""
    row = {
        "mode": "bulk",
        "hostile": 2,
        "asked_per_second": 57.4,
        "kept": [0.98, 0.9, 1.0],
        "p99_ratio": [2.0, 1.5, 2.75],
        "p99_quiet_ms": 16.2,
        "p99_ms": 32.4,
    }
    assert shown(fairness_table([row]))[1:] == [
        ["bulk", "2", "57", "98 % (90 - 100)", "2.0 (1.5 - 2.8)", "16, 32 ms"]
    ]
