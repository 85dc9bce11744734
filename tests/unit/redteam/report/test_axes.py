"""The look of the pictures."""

from __future__ import annotations

from pathlib import Path

from queen.redteam.report.axes import Styles, open_figure, save


def test_titles_have_styles_of_their_own() -> None:
    """The same title has the same color and marker; two titles differ in both."""
    styles = Styles(["a", "b", "a"])
    assert styles["a"] == Styles(["a"])["a"]
    assert styles["a"]["color"] != styles["b"]["color"]
    assert styles["a"]["marker"] != styles["b"]["marker"]
    assert len({Styles(map(str, range(20)))[str(i)]["color"] for i in range(20)}) == 20


def test_panels_stand_side_by_side_with_their_titles(tmp_path: Path) -> None:
    """In the order of their titles, in a file that is a picture."""
    figure, panels = open_figure("left", "right", height=2, widths=(2, 1))
    assert [panel.get_title(loc="left") for panel in panels] == ["left", "right"]
    save(figure, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
