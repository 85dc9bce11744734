"""The pictures of the demo."""

from __future__ import annotations

from pathlib import Path

from queen.demo.plots import draw_honest, draw_thief
from queen.demo.report import DemoReport


def test_both_pictures_are_drawn(report: DemoReport, tmp_path: Path) -> None:
    """As PNG."""
    draw_thief(report, tmp_path / "thief.png")
    draw_honest(report, tmp_path / "honest.png")
    for name in ("thief", "honest"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
