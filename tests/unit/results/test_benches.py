"""The sections on the cost of the defense."""

from __future__ import annotations

from queen.results.benches import method_section, serve_section

MACHINE = {"processor": "Abacus", "cores": 2, "python": "3.11.7"}


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
    assert page.endswith(f"| over | 1 | 8 | {ratio} | {ratio} | {ratio} | {ratio} |")
    assert "| bare |" not in page


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
