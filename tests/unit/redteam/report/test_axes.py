"""The look of the pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from queen.redteam.report.axes import Styles, draw_line, finish, open_figure, save, scale_by_counts
from queen.redteam.report.standings import OverSeeds


def test_titles_have_styles_of_their_own() -> None:
    """The same title has the same color and marker; two titles differ in both."""
    styles = Styles(["a", "b", "a"])
    assert styles["a"] == Styles(["a"])["a"]
    assert styles["a"]["color"] != styles["b"]["color"]
    assert styles["a"]["marker"] != styles["b"]["marker"]
    assert len({Styles(map(str, range(20)))[str(i)]["color"] for i in range(20)}) == 20


def test_points_are_joined_in_order_in_percent(tmp_path: Path) -> None:
    """With a legend where there is a line, and a sentence where there is none."""
    figure, (left, right) = open_figure("left", "right")
    points = [(20.0, OverSeeds(0.5, 0.1, 3)), (10.0, OverSeeds(0.25, None, 1))]
    draw_line(left, points, Styles(["a"])["a"], "a")
    draw_line(right, [], Styles(["a"])["a"], "a")
    line = left.lines[0]
    assert list(line.get_xdata()) == [10.0, 20.0]
    assert list(line.get_ydata()) == [25.0, 50.0]
    scale_by_counts(left, [10, 20])
    assert left.get_xscale() == "log"
    assert [text.get_text() for text in left.get_xticklabels()] == ["10", "20"]
    finish(left, "x", "y")
    finish(right, "x", "y")
    assert left.get_legend() is not None
    assert right.texts[0].get_text() == "no cells of this run"
    save(figure, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("counts", [[], [5]])
def test_an_axis_without_counts_stays_linear(counts: list[float]) -> None:
    """No tick is made up."""
    _, (axes,) = open_figure("one")
    scale_by_counts(axes, counts)
    assert axes.get_xscale() == ("log" if counts else "linear")
