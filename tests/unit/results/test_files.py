"""The files in docs/results."""

from __future__ import annotations

import json
from pathlib import Path

from queen.results.files import machine_of, read_content, read_rows


def test_rows_of_several_files_follow_each_other(tmp_path: Path) -> None:
    """In the order of the files."""
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for index, file in enumerate(files):
        file.write_text(json.dumps({"bench": "links", "rows": [{"seed": index}]}))
    assert read_content(files[1])["bench"] == "links"
    assert read_rows(files) == [{"seed": 0}, {"seed": 1}]


def test_a_machine_is_a_sentence() -> None:
    """With all that `queen bench` notes of it."""
    machine = {"processor": "Fast", "cores": 2, "python": "3.11.2"}
    assert machine_of({"machine": machine}) == "Machine: Fast, 2 cores, Python 3.11.2."
