"""The table of `queen bench meter`."""

from __future__ import annotations

from queen.cli.bench.meter import meter_table
from tests.unit.cli.tables import shown


def test_known_queries_are_named_where_they_are_repeated() -> None:
    """A stream without repeats leaves the cell empty."""
    stream = {"pool": "mixed", "known": 1000, "median": 31.5, "latest": 40.0}
    rows = [
        {**stream, "repeats": 0, "members": 10},
        {**stream, "repeats": 5, "members": 1},
    ]
    assert shown(meter_table(rows))[1:] == [
        ["mixed", "", "0", "10", "31.5", "40"],
        ["mixed", "1,000", "5", "", "31.5", "40"],
    ]
