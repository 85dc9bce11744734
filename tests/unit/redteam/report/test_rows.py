"""The file of finished rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from queen.errors import ConfigError
from queen.redteam.report.rows import (
    RowFile,
    finite,
    finite_figures,
    read_rows,
    versions_text,
)
from queen.redteam.runs.workers import ROWS


def test_rows_are_read_again(tmp_path: Path) -> None:
    """By the name of their cell, the last row of a cell wins."""
    file = RowFile(tmp_path / "deep" / ROWS, 1)
    for figure in (1.0, 2.0):
        file.append({"cell": "a", "learner": 1, "figure": figure})
    file.append({"cell": "b", "learner": 1, "figure": None})
    again = RowFile(tmp_path / "deep" / ROWS, 1)
    assert (
        again.rows
        == file.rows
        == {
            "a": {"cell": "a", "learner": 1, "figure": 2.0},
            "b": {"cell": "b", "learner": 1, "figure": None},
        }
    )


def test_a_torn_line_is_dropped(tmp_path: Path) -> None:
    """The next row starts a line of its own."""
    path = tmp_path / ROWS
    path.write_text('{"cell": "a", "learner": 1}\n{"cell": "b", "fig')
    file = RowFile(path, 1)
    assert list(file.rows) == ["a"]
    file.append({"cell": "c", "learner": 1})
    assert list(RowFile(path, 1).rows) == ["a", "c"]


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
        RowFile(tmp_path / ROWS, 1).append({"cell": "a", "figure": float("nan")})


def test_rows_of_another_learner_do_not_count(tmp_path: Path) -> None:
    """They stay in the file, and a row of the present learner takes over."""
    path = tmp_path / ROWS
    path.write_text('{"cell": "a", "learner": 1}\n{"cell": "b"}\n')
    file = RowFile(path, 2)
    assert not file.rows
    file.append({"cell": "a", "learner": 2})
    assert list(RowFile(path, 2).rows) == ["a"]
    assert len(path.read_text().splitlines()) == 3


def test_rows_are_read_from_a_report_or_a_file_of_rows(tmp_path: Path) -> None:
    """Anything else is refused, with what was expected."""
    path = tmp_path / "report.json"
    for text in ('[{"cell": "a"}, {"cell": "b"}]', '{"cell": "a"}\n{"cell": "b"}\n'):
        path.write_text(text)
        assert [row["cell"] for row in read_rows(path)] == ["a", "b"]
    for text in ("cells", "[1]", '[{"attack": "a"}]'):
        path.write_text(text)
        with pytest.raises(ConfigError, match="expected"):
            read_rows(path)


def test_rows_of_several_versions_are_told_of() -> None:
    """A report says that its rows are not of the same code; rows of one version need no word."""
    assert "2 versions" in versions_text([{"code": "a"}, {"code": "b"}, {"code": "a"}])
    assert versions_text([{"code": "a"}, {"code": "a"}]) == versions_text([]) == ""
