"""The leak in reports."""

from __future__ import annotations

from pathlib import Path

from queen.redteam.report.leaks import leak_cell, leak_rows, read_leaks, write_leaks
from tests.unit.redteam.report.sample_rows import leak_row, row

NOTHING = dict.fromkeys(("profile", "budget", "breadth", "class_cap"))
KEY = row("knockoff", 0, 0.5)
LEAKS = [
    leak_row(seed=0, leak=0.25, bound=0.28),
    leak_row(seed=1, leak=0.35, bound=0.36),
    leak_row(rows="unflagged", leak=0.9),
    leak_row(defense="none", rows="all", leak=0.75, bound=0.8, **NOTHING),
    leak_row(profile="refuse", leak=None, bound=None, views={}),
]


def test_a_defense_has_its_leak_beside_it() -> None:
    """The mean over seeds of its flagged rows, and the bound of the worst seed."""
    assert leak_cell(LEAKS, KEY) == "30.0 (36.0)"
    assert leak_cell(LEAKS, {**KEY, "defense": "none", **NOTHING}) == "75.0 (80.0)"


def test_without_a_measurement_there_is_a_dash() -> None:
    """Of another defense, or of another data set."""
    assert leak_cell([], KEY) == "-"
    assert leak_cell(LEAKS, {**KEY, "dataset": "mnist"}) == "-"


def test_refused_queries_have_no_answer_to_read() -> None:
    """A measurement without answers says so."""
    assert leak_cell(LEAKS, {**KEY, "profile": "refuse"}) == "refused"


def test_a_leak_of_another_policy_says_so() -> None:
    """The policy's own rows come first; where it has none, the cell names what differs."""
    wide = [leak_row(breadth=6, leak=0.1, bound=0.12), *LEAKS]
    assert leak_cell(wide, KEY) == "30.0 (36.0)"
    assert leak_cell(wide, {**KEY, "breadth": 6}) == "10.0 (12.0)"
    assert leak_cell(LEAKS, {**KEY, "breadth": 6, "budget": 20}) == (
        "30.0 (36.0) at budget 10, breadth 1"
    )


def test_the_table_has_both_views() -> None:
    """A line for the flagged and one for the other rows."""
    lines = leak_rows(LEAKS)
    assert lines[0] == ["paper n10", "flagged", "90.0", "60.0", "95.0", "85.0", "30.0", "36.0"]
    assert [line[:2] for line in lines[1:3]] == [["paper n10", "unflagged"], ["none", "all"]]
    assert lines[3][2:] == ["-"] * 6


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    """And a run that measured no leak has none."""
    assert read_leaks(tmp_path / "leak.json") == []
    write_leaks(LEAKS, "queen redteam --leak", tmp_path / "new" / "leak.json")
    assert read_leaks(tmp_path / "new" / "leak.json") == LEAKS
