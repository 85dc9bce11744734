"""The figures of a bench as a table and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from queen.cli.bench.figures import count, empty_table, publish
from tests.unit.cli.tables import shown


def test_numbers_are_flush_right_and_words_flush_left() -> None:
    """The first column and the columns named as words hold text."""
    table = empty_table("Title", "name", "number", "against", words=("against",))
    assert [column.justify for column in table.columns] == ["left", "right", "left"]
    table.add_row("a", "1", "b")
    assert shown(table) == [["name", "number", "against"], ["a", "1", "b"]]


def test_figures_are_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file names the bench and the machine; its folder is made."""
    path = tmp_path / "deep" / "figures.json"
    table = empty_table("Title", "name")
    table.add_row("first")
    publish("links", {"rows": [1, 2]}, table, path)
    written = json.loads(path.read_text())
    assert list(written) == ["bench", "machine", "rows"]
    assert (written["bench"], written["rows"]) == ("links", [1, 2])
    printed = capsys.readouterr().out
    assert "first" in printed
    assert f"{written['machine']['cores']} cores" in printed


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bench without --json leaves no file."""
    monkeypatch.chdir(tmp_path)
    publish("links", {"rows": []}, empty_table("Title", "name"), None)
    assert list(tmp_path.iterdir()) == []


def test_none_is_never() -> None:
    """A count that was not reached is a word."""
    assert (count(None), count(1234)) == ("never", "1,234")
