"""The table of `queen bench secrecy`."""

from __future__ import annotations

from queen.cli.bench.secrecy import secrecy_table
from tests.unit.cli.tables import shown


def test_shares_are_percentages() -> None:
    """The reversal is a cosine, the others are shares of labels."""
    row = {"title": "published", "reversal": 1.0, "read": 0.998, "read_with_belief": 0.999}
    assert shown(secrecy_table([{**row, "leak": 0.5, "learned": 0.123}]))[1:] == [
        ["published", "1.00", "99.8%", "99.9%", "50.0%", "12.3%"]
    ]
