"""The table of `queen bench state`."""

from __future__ import annotations

from click.testing import CliRunner

from queen.cli.bench.state import state, state_table
from tests.unit.cli.tables import shown


def test_a_measure_stands_beside_its_goal() -> None:
    """Appends into SQLite have a row for each synchronous mode, and no goal."""
    figures = {
        "verdict_us": 1234,
        "sqlite_appends_per_second": {"full": {"1": 500, "100": 20_000}},
    }
    goals = [{"key": "verdict_us", "title": "a verdict", "goal": "< 2,000 met"}]
    assert shown(state_table(figures, goals))[1:] == [
        ["a verdict", "1,234", "< 2,000 met"],
        ["records a second into SQLite, synchronous full", "500 (1), 20,000 (100)", ""],
    ]


def test_a_run_too_small_to_measure_is_refused() -> None:
    """A thousand accounts are the fewest."""
    done = CliRunner().invoke(state, ["--accounts", "999"])
    assert done.exit_code == 2
    assert "--accounts" in done.output
