"""The figures of the demo, from its traffic and its copies."""

from __future__ import annotations

from pathlib import Path

import pytest

from queen.demo.copies import CopyAccuracies
from queen.demo.report import Curve
from queen.demo.story import make_report
from tests.unit.demo.sample_demo import THIEF_QUERIES, sent_by, small_demo

COPIES = CopyAccuracies(0.9, 0.6, 0.85, 0.7, Curve([30, 60], [0.5, 0.9], [0.5, 0.6]))


def test_the_figures_are_those_of_the_traffic(tmp_path: Path) -> None:
    """Honest labels are compared with the protectee's, heavy ones with the truth."""
    demo = small_demo(tmp_path)
    report = make_report(demo, sent_by(demo), COPIES, 0.95, "digest")
    assert report.honest_accuracy == 1.0
    assert report.honest_flips_before_budget == 0
    assert report.heavy_queries == len(demo.split.test_y)
    assert report.heavy_accuracy == pytest.approx(0.5, abs=0.01)
    assert [accuracy for _, accuracy in report.heavy_history] == [1.0] * 3 + [
        pytest.approx(0.98, abs=0.03)
    ] + [0.0] * 4
    assert report.thief_queries == THIEF_QUERIES
    assert report.clean_prefix_queries == 30
    assert report.reversed_fraction == 0.5
    assert report.flip_fraction == 0.5
    assert report.thief_accuracy_defended == 0.6
    assert report.clean_prefix_floor == 0.7
    assert report.protectee_accuracy == 0.95
    assert (report.seed, report.budget, report.bundle_digest) == (0, 10, "digest")
