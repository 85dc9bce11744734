"""The sections on the cost of the defense."""

from __future__ import annotations

from queen.results.benches import (
    method_section,
    serve_section,
    state_section,
    times_section,
)

MACHINE = {"processor": "Abacus", "cores": 2, "python": "3.11.7"}
BENCH = {
    "machine": MACHINE,
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
        {"width": 2, "records": 1, "rows": 1, "ledgers": 1, "cells": 100.0, "flat": 110.0},
        {"width": 2, "records": 9, "rows": 1, "ledgers": 1, "cells": 100.0, "flat": 150.0},
        {"width": 2, "records": 1, "rows": 1024, "ledgers": 64, "cells": 50.0, "flat": 100.0},
        {"width": 8, "records": 1, "rows": 1, "ledgers": 1, "flat": 100.0},
    ],
}


def test_a_contestant_is_compared_with_the_bare_server() -> None:
    """A row has a median with its smallest and largest ratio; the bare server has none."""
    ratios = {
        f"{measure}_ratio": [0.5, 0.25, 1.0]
        for measure in ("requests_per_second", "p50_ms", "p99_ms", "cpu_ms_per_request")
    }
    rows = [{"contestant": "bare"}, {"contestant": "over", "batch": 1, "in_flight": 8, **ratios}]
    page = "\n".join(serve_section({"machine": MACHINE, "rows": rows}))
    assert "Machine: Abacus, 2 cores, Python 3.11.7." in page
    ratio = "0.50 (0.25 - 1.00)"
    assert page.endswith(f"| over | 1 | 8 | {ratio} | {ratio} | {ratio} | {ratio} |\n")
    assert "| bare |" not in page


def test_what_times_tell_stands_beside_its_control() -> None:
    """A row for each profile and setting; what was not measured is left empty."""
    told = {"auc_one": 0.9, "auc_fastest_of_8": 1.0, "auc_p10_of_40": 1.0, "auc_in_burst": None}
    regions = {"auc_inside_outside": 0.75, "auc_covered_outside": 0.5}
    control = {"profile": "paper", "held": "none", **told, **regions}
    page = "\n".join(times_section({"machine": MACHINE, "rows": [control]}))
    assert page.endswith("| paper | none | 0.90 | 1.00 | 1.00 |  | 0.75 | 0.50 |  |  |\n")


def test_a_kernel_shows_its_goal_and_its_speedup() -> None:
    """Both are left empty where a kernel has none."""
    times = {"microseconds": 1.234, "fastest": 1.0, "slowest": 2.0}
    rows = [
        {"name": "reverse", **times, "goal": 2, "speedup": 20808.2, "reference": "SLSQP solver"},
        {"name": "safe", **times, "goal": None, "speedup": None, "reference": None},
    ]
    page = "\n".join(method_section({"machine": MACHINE, "rows": rows}))
    assert "| reverse | 1.23 (1.00 - 2.00) | < 2 | 20,808x (SLSQP solver) |" in page
    assert "| safe | 1.23 (1.00 - 2.00) |  |  |" in page


def test_every_figure_of_the_bench_is_on_the_page() -> None:
    """Goals, rates with their spread, latencies with gaps, appends, and the search in short."""
    page = "\n".join(state_section(BENCH))
    assert "| resident GiB | 0.094 | <= 4 met |" in page
    assert "| 64 accounts | 137,770 | 107,027 - 228,465 |" in page
    assert "*many* is 1,000,000" in page
    assert "| in memory | 270.3 |  |  | 1.026 |" in page
    assert "| covered |  |  | 298.5 |  |" in page
    assert "| synchronous full | 691 | 12,447 |" in page
    # A median over numbers of records; a width that only one engine can has no line.
    assert "| width | 1 rows, 1 ledger | 1,024 rows, 64 ledgers |" in page
    assert "| 2 | 1.3 | 2.0 |" in page
    assert "| 8 |" not in page
