"""The section on crossing policies."""

from __future__ import annotations

import json
from pathlib import Path

from queen.results.frontier import draw_frontiers, frontier_section
from tests.unit.redteam.frontier.rows import ROWS


def test_the_frontier_has_a_line_for_each_policy(tmp_path: Path) -> None:
    """With its command, its notes and its picture."""
    file = tmp_path / "results" / "frontier-fashion-mnist.json"
    file.parent.mkdir()
    file.write_text(json.dumps(ROWS))
    page = "\n".join(frontier_section([file]))
    assert "`queen bench frontier --seeds 0 --seeds 1`: fashion-mnist" in page
    assert "a budget of 100\nrecords of a class, 2 seeds" in page
    assert "| 5 classes, no cap | 85.0 ± 1.4 (hoarding, 1,500) |" in page
    assert "(results/frontier-fashion-mnist.png)" in page
    draw_frontiers(file.parent)
    assert file.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert frontier_section([]) == []


def test_copies_of_another_learner_do_not_count(tmp_path: Path) -> None:
    """A file without rows of today's learner has no section and no picture."""
    file = tmp_path / "frontier-fashion-mnist.json"
    file.write_text(json.dumps([{**row, "learner": None} for row in ROWS]))
    assert frontier_section([file]) == []
    draw_frontiers(tmp_path)
    assert not file.with_suffix(".png").exists()
