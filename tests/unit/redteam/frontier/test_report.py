"""The report of a sweep; `test_sweep` reads what it writes."""

from __future__ import annotations

from queen.redteam.frontier.report import JSON, PAGE, PICTURE


def test_the_files_have_their_own_names() -> None:
    """Beside the rows of the run, which are rows.jsonl."""
    assert len({JSON, PAGE, PICTURE, "rows.jsonl"}) == 4
