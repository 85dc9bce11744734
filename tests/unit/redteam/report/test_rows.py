"""The file of finished rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from queen.redteam.report.rows import RowFile, finite, finite_figures
from queen.redteam.runs.workers import ROWS


def test_rows_are_read_again(tmp_path: Path) -> None:
    """By the name of their cell, the last row of a cell wins."""
    file = RowFile(tmp_path / "deep" / ROWS)
    for figure in (1.0, 2.0):
        file.append({"cell": "a", "figure": figure})
    file.append({"cell": "b", "figure": None})
    again = RowFile(tmp_path / "deep" / ROWS)
    assert (
        again.rows
        == file.rows
        == {
            "a": {"cell": "a", "figure": 2.0},
            "b": {"cell": "b", "figure": None},
        }
    )


def test_a_torn_line_is_dropped(tmp_path: Path) -> None:
    """The next row starts a line of its own."""
    path = tmp_path / ROWS
    path.write_text('{"cell": "a"}\n{"cell": "b", "fig')
    file = RowFile(path)
    assert list(file.rows) == ["a"]
    file.append({"cell": "c"})
    assert list(RowFile(path).rows) == ["a", "c"]


def test_figures_are_numbers_or_null() -> None:
    """By name, and as plain floats."""
    assert finite_figures({"a": float("nan"), "b": 1}) == {"a": None, "b": 1.0}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_a_figure_that_is_none_is_null(value: float | None):
    """No NaN gets into a row."""
    assert finite(value) is None


def test_a_row_with_a_nan_is_refused(tmp_path: Path):
    """Should one come up all the same, the file stays JSON."""
    with pytest.raises(ValueError, match="JSON"):
        RowFile(tmp_path / ROWS).append({"cell": "a", "figure": float("nan")})
