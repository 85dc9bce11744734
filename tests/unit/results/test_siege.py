"""The section on the siege."""

from __future__ import annotations

from queen.results.siege import siege_section

ACT = {
    "act": "wide_names",
    "kept": 0.96,
    "p99_ms": 31.2,
    "p99_quiet_ms": 20.0,
    "control_p99_ms": 9.0,
    "control_p99_quiet_ms": 6.0,
    "cores": 0.31,
    "cores_quiet": 0.12,
    "rss_mib": 130.4,
    "rss_grown_mib": 3.0,
    "log_bytes_per_call": 0.0,
}
RECOVERY = {"act": "sensitivity starts again, watchers", "recovered_seconds": 1.3}
DRAIN = {
    "act": "SIGTERM",
    "exit_code": 0,
    "drain_seconds": 1.2,
    "calls_ok": 21,
    "calls_unavailable": 19,
}
MACHINE = {"processor": "P", "cores": 2, "python": "3.11"}


def test_each_row_has_its_figures() -> None:
    """Beside those of the quiet period, and of the control."""
    known = {**ACT, "act": "bulk-1", "log_bytes_per_call": None}
    rows = [ACT, known, {**RECOVERY, "without_verdict": 4.0}, DRAIN]
    page = "\n".join(siege_section({"rows": rows, "rate": 20.0, "machine": MACHINE}))
    assert "| `wide_names` | 96 % | 31 (20) | 9 (6) | 0.31 (0.12) | 130 (+3) | 0 |" in page
    assert "| `bulk-1` | 96 % | 31 (20) | 9 (6) | 0.31 (0.12) | 130 (+3) |  |" in page
    assert "| sensitivity starts again, watchers | 1.3 s | 4 |" in page
    assert "exit code 0 after 1.2 s" in page
    assert "19 told to go elsewhere" in page
    assert "20 requests a second" in page


def test_rows_that_were_not_measured_have_no_section() -> None:
    """A siege of one act alone tells of that act."""
    page = "\n".join(siege_section({"rows": [ACT], "rate": 20.0, "machine": MACHINE}))
    assert "restart" not in page
    assert "SIGTERM" not in page
