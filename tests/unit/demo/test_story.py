"""The figures of the demo, from its traffic and its copies."""

from __future__ import annotations

from queen.demo.report import DemoReport
from tests.unit.demo.sample_demo import THIEF_QUERIES


def test_the_figures_are_those_of_the_traffic(report: DemoReport) -> None:
    """A thief's clean answers end at the first reversal; labels are compared with the model's."""
    (thief,) = report.thieves
    assert (thief.queries, thief.clean, thief.reversed) == (THIEF_QUERIES, 30, 30)
    assert (thief.undefended, thief.defended, thief.floor) == (0.9, 0.6, 0.7)
    happy, unhappy = report.customers
    assert (happy.right, happy.changed, happy.refused, happy.first) == (1.0, 0, 0, None)
    assert (unhappy.changed, unhappy.refused, unhappy.first) == (10, 4, 0)
    assert unhappy.right == 6 / 16
    assert unhappy.own == 1.0
    assert (report.protectee, report.chance, report.budget) == (0.95, 0.1, 10)
    assert (report.seed, report.bundle_digest) == (0, "digest")
