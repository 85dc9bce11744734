"""The picture of a plan."""

from __future__ import annotations

from pathlib import Path

from queen.method.crossing import CAP_OFF, CrossingPolicy
from queen.planning.plot import MOST_LINES, draw_plan, drawn_findings
from queen.planning.report import Finding, PlanReport


def report_of(*overs: int) -> PlanReport:
    """Policies that so many of 100 accounts are over by."""
    findings = [
        Finding(CrossingPolicy(10 + at, 1, CAP_OFF), 1, over, 0, [over // 2, over], 3.0, {})
        for at, over in enumerate(overs)
    ]
    days = ["2026-01-01", "2026-01-02"]
    return PlanReport("digest", 0.9, accounts=100, days=days, findings=findings)


def test_the_chosen_policy_is_drawn_with_a_few_that_differ() -> None:
    """At most five lines, none twice, from the fewest accounts over to the most."""
    report = report_of(*range(90, 0, -5), 7, 7)
    report.chosen = {"strict": report.findings[6].policy}  # type: ignore[dict-item]
    shown = drawn_findings(report)
    assert report.findings[6] in shown
    assert len(shown) == MOST_LINES
    overs = [finding.over for finding in shown]
    assert overs == sorted(set(overs))
    assert max(overs) == 90
    assert [finding.over for finding in drawn_findings(report_of(7, 7))] == [7]


def test_a_picture_is_written(tmp_path: Path) -> None:
    """A PNG, also where no account is over."""
    for overs in ((30, 10), (0,)):
        path = tmp_path / f"{len(overs)}.png"
        draw_plan(report_of(*overs), path)
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 5000
