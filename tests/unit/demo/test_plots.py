"""The picture of the demo."""

from __future__ import annotations

from pathlib import Path

from queen.demo.plots import draw_demo_picture
from queen.demo.report import DemoReport


def test_the_picture_is_drawn(report: DemoReport, tmp_path: Path) -> None:
    """As PNG."""
    draw_demo_picture(report, tmp_path / "demo.png")
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")
