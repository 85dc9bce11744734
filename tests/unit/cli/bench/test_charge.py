"""The tables of `queen bench charge`."""

from __future__ import annotations

from queen.cli.bench.charge import honest_table, thieves_table
from tests.unit.cli.tables import shown


def test_an_account_that_is_never_over_says_so() -> None:
    """Counts have thousands, and a count that was not reached is `never`."""
    crossings = {
        "even": {"fewest": 1234, "median": 2000, "over": 10},
        "one class": {"fewest": None, "median": None, "over": 0},
    }
    assert shown(honest_table({"honest": crossings}))[1:] == [
        ["even", "1,234", "2,000", "10"],
        ["one class", "never", "never", "0"],
    ]


def test_a_thief_stands_beside_a_copy_of_plain_images() -> None:
    """A thief that doubts is named by how often."""
    plain = {"every": 0, "clean": 1500, "copy": 0.8125, "plain_copy": 0.8125}
    active = {"every": 4, "clean": 900, "copy": 0.75, "plain_copy": 0.8}
    assert shown(thieves_table({"thieves": [plain, active]}))[1:] == [
        ["plain", "1,500", "81.2%", "81.2%"],
        ["1 in 4 doubted", "900", "75.0%", "80.0%"],
    ]
