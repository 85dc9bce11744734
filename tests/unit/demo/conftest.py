"""A report of the demo with every figure."""

from __future__ import annotations

from pathlib import Path

import pytest

from queen.demo.copies import Copies
from queen.demo.report import DemoReport
from queen.demo.story import make_report
from tests.unit.demo.sample_demo import sent_by, small_demo


@pytest.fixture
def report(tmp_path: Path) -> DemoReport:
    """A report with every figure."""
    demo = small_demo(tmp_path)
    copies = {"thief-in-distribution": Copies(0.9, 0.6, 0.7)}
    return make_report(demo, sent_by(demo), copies, 0.95, "digest")
