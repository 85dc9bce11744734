"""The picture of the frontier."""

from __future__ import annotations

from pathlib import Path

from queen.redteam.frontier.plot import draw_frontier
from queen.redteam.frontier.summary import summaries
from tests.unit.redteam.frontier.rows import ROWS


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    """With what was measured, never and missing cells among it."""
    draw_frontier(summaries(ROWS), tmp_path / "frontier.png")
    assert (tmp_path / "frontier.png").read_bytes().startswith(b"\x89PNG")
