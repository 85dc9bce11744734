"""A line for each policy of a sweep."""

from __future__ import annotations

import pytest

from queen.redteam.frontier.summary import summaries, summary_table
from tests.unit.redteam.frontier.rows import ROWS, kind_row


def test_the_worst_thief_stands_for_a_number_of_accounts() -> None:
    """By the mean over seeds, with its clean answers."""
    published, broad = summaries(ROWS)
    assert (published.title, broad.title) == ("1 class (as published)", "5 classes, no cap")
    assert published.worst[1].thief == "even"
    assert broad.worst[1].thief == "hoarding"
    assert broad.worst[1].copy.mean == pytest.approx(0.85)
    assert set(broad.worst) == {1, 10}
    assert 10 not in published.worst


def test_seeds_keep_the_earliest_account() -> None:
    """A median over seeds is never only if it is so in every seed."""
    rows = [*ROWS, kind_row(5, "one class", [9000, None, None], 10, seed=1)]
    _, broad = summaries(rows)
    patience = broad.kinds["one class"]
    assert (patience.earliest, patience.median) == (9000, None)
    assert patience.over == pytest.approx(0.005)


def test_the_table_tells_both_sides() -> None:
    """Copies in percent, answers in numbers, and a dash for what was not measured."""
    text = summary_table(summaries(ROWS))
    first, _, *lines = text.splitlines()
    heads = ["over with", "worst copy, 1 account", "worst copy, 10 accounts", "even", "one class"]
    assert [cell.strip() for cell in first.strip("|").split("|")] == heads
    assert "| 1 class (as published) | 80.0 (even, 1,500) | - | 1,401 / 1,600 (100)" in lines[0]
    assert lines[1].endswith(
        "| 89.0 (class split, 1,500) | 1,405 / 1,600 (100) | never / never (0) |"
    )
