"""The section on crossing policies."""

from __future__ import annotations

import json
from pathlib import Path

from queen.results.frontier import frontier_section
from tests.unit.redteam.frontier.rows import ROWS


def test_the_frontier_has_a_line_for_each_policy(tmp_path: Path) -> None:
    """With its command, its notes, and the picture where there is one."""
    file = tmp_path / "results" / "frontier-fashion-mnist.json"
    file.parent.mkdir()
    file.write_text(json.dumps(ROWS))
    page = "\n".join(frontier_section([file]))
    assert "`queen bench frontier --seeds 0 --seeds 1`: fashion-mnist" in page
    assert "a budget of 100\nrecords of a class, 2 seeds" in page
    assert "| 5 classes, no cap | 85.0 ± 1.4 (hoarding, 1,500) |" in page
    assert "png" not in page
    file.with_suffix(".png").write_bytes(b"")
    assert "(results/frontier-fashion-mnist.png)" in "\n".join(frontier_section([file]))
    assert frontier_section([]) == []
