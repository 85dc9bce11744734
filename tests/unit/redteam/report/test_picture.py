"""The picture of a report."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib import pyplot as plt

from queen.redteam.report.picture import draw_picture, main_setting
from queen.redteam.report.standings import Standing, standings
from tests.unit.redteam.report.sample_rows import BASELINE, ROWS, row

Line = tuple[str, Standing | None]


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Draws lines into a file, and returns the panels as they were drawn."""
    monkeypatch.setattr(plt, "close", lambda _figure: None)

    def draw(lines: list[Line]):
        path = tmp_path / "picture.png"
        draw_picture(lines, path)
        assert path.read_bytes().startswith(b"\x89PNG")
        return plt.gcf().axes

    yield draw
    monkeypatch.undo()
    plt.close("all")


def test_a_line_tells_the_copy_and_how_many_attacks_met_it(drawn) -> None:
    """From a guess to the model; nothing is joined, and nothing needs a legend."""
    paper, none = standings([*ROWS, row("knockoff", 0, 0.95, **BASELINE)])
    left, right = drawn([("paper", paper), ("none", none), ("strict", None)])
    words = [text.get_text() for text in left.texts]
    assert "85.0 %, best of 2 attacks, 2 seeds" in words
    assert "95.0 %, 1 attack, 1 seed" in words
    assert {"not measured yet", "a guess", "the model"} <= set(words)
    assert [label.get_text() for label in left.get_yticklabels()] == ["paper", "none", "strict"]
    low, high = left.get_xlim()
    assert low == 10.0
    assert 97.0 < high < 100.0
    assert left.get_legend() is right.get_legend() is None


def test_every_kind_of_customer_has_a_cell(drawn) -> None:
    """The share of their queries that are harmed, in percent; a dash where none is known."""
    (paper,) = standings(ROWS)
    _, right = drawn([("paper", paper), ("strict", None)])
    assert [text.get_text() for text in right.texts] == ["5.0", "2.0", "-", "-"]


def test_a_run_without_rows_has_an_empty_picture(drawn) -> None:
    """Nothing is made up."""
    left, _ = drawn([])
    assert not left.patches


def test_the_main_setting_is_that_of_most_defenses() -> None:
    """Other pools, accounts and queries are not compared in the picture."""
    rows = [
        row("knockoff", 0, 0.5, pool="mixup"),
        *ROWS,
        row("knockoff", 0, 0.95, **BASELINE),
        row("knockoff", 0, 0.9, accounts=4),
    ]
    assert [line.title for line in main_setting(standings(rows))] == ["paper n10", "none"]
    assert main_setting([]) == []
