"""The table of `queen bench serve`."""

from __future__ import annotations

from queen.cli.bench.serve import serve_table
from tests.unit.cli.tables import shown


def test_ratios_stand_with_their_range() -> None:
    """The bare server is what the others are divided by, and has no row."""
    ratios = {
        "requests_per_second_ratio": [0.5, 0.25, 0.75],
        "p50_ms_ratio": [2.0, 1.0, 3.0],
        "p99_ms_ratio": [2.5, 1.5, 3.5],
        "cpu_ms_per_request_ratio": [1.0, 1.0, 1.0],
    }
    load = {"batch": 8, "in_flight": 4}
    rows = [{"contestant": "bare", **load}, {"contestant": "strict", **load, **ratios}]
    assert shown(serve_table(rows))[1:] == [
        [
            *("strict", "8", "4", "0.50 (0.25 - 0.75)"),
            *("2.00 (1.00 - 3.00)", "2.50 (1.50 - 3.50)", "1.00 (1.00 - 1.00)"),
        ]
    ]
