"""The section on the state of many accounts."""

from __future__ import annotations

from queen.results.state import state_section

BENCH = {
    "machine": {"processor": "Abacus", "cores": 2, "python": "3.11.7"},
    "goals": [{"title": "resident GiB", "key": "rss", "goal": "<= 4 met"}],
    "rss": 0.094,
    "assess_rates": {"64 accounts": 137770},
    "assess_spreads": {"64 accounts": [107027, 228465]},
    "accounts_known": 1_000_000,
    "most_records": 4283,
    "accounts_latency": {"in memory": {"few_microseconds": 270.3, "ratio": 1.026}},
    "records_latency": {"covered": {"most_microseconds": 298.5}},
    "sqlite_appends_per_second": {"full": {"1": 691, "64": 12447}},
    "search": [
        {"width": 2, "records": 1, "rows": 1, "ledgers": 1, "cells": 74.0, "flat": 108.0},
        {"width": 8, "records": 1, "rows": 1, "ledgers": 1, "flat": 100.0},
    ],
}


def test_every_figure_of_the_bench_is_on_the_page() -> None:
    """Goals, rates with their spread, latencies with gaps, appends, and the fastest search bold."""
    page = "\n".join(state_section(BENCH))
    assert "| resident GiB | 0.094 | <= 4 met |" in page
    assert "| 64 accounts | 137,770 | 107,027 - 228,465 |" in page
    assert "*many* is 1,000,000" in page
    assert "| in memory | 270.3 |  |  | 1.026 |" in page
    assert "| covered |  |  | 298.5 |  |" in page
    assert "| synchronous full | 691 | 12,447 |" in page
    assert "| 2 | 1 | 1 | 1 | **74** | 108 |" in page
    assert "| 8 | 1 | 1 | 1 |  | **100** |" in page
