"""The picture of a plan: accounts over their budget, as time goes on, under a few policies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from queen.method.crossing import CAP_OFF
from queen.planning.report import Finding, PlanReport

MOST_LINES = 5
"""Policies that are drawn."""
_INK, _QUIET = "#1f77b4", "#999999"
_LEAST_GAP = 0.05
"""Distance between two texts, as a share of the axis."""


def draw_plan(report: PlanReport, path: Path) -> None:
    """Write a PNG with a line for each of a few policies, the chosen ones in color."""
    # A figure of its own, without pyplot: nothing global, no display.
    figure = Figure(figsize=(9, 4.8), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    shown = drawn_findings(report)
    days = range(len(report.days) + 1)
    for finding in shown:
        is_chosen = finding.policy in report.chosen.values()
        shares = [_percent(count, report) for count in (0, *finding.over_by_day)]
        style = {"color": _INK, "linewidth": 2.2} if is_chosen else {"color": _QUIET}
        axes.plot(days, shares, marker=".", **style)
    _write_names(axes, report, shown)
    most = max((_percent(finding.over, report) for finding in shown), default=0.0)
    axes.set(
        xlim=(0, len(report.days)),
        ylim=(0, max(1.0, 1.08 * most)),
        xlabel=f"days of the log, {report.days[0]} to {report.days[-1]} (UTC)",
        ylabel="accounts over their budget (%)",
    )
    axes.set_title(
        f"What each policy would have done to the {report.accounts:,} accounts that were observed\n"
        f"blue: the strictest policy that changes no answer of {report.spare:.1%} of them",
        fontsize=10,
        loc="left",
    )
    axes.locator_params(axis="x", integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="y", color="0.92", linewidth=0.6)
    figure.savefig(path, format="png")


def drawn_findings(report: PlanReport) -> list[Finding]:
    """The chosen policies, and others that tell most apart, at most MOST_LINES."""
    chosen = [finding for finding in report.findings if finding.policy in report.chosen.values()]
    others = [finding for finding in report.findings if finding not in chosen]
    others = sorted(others, key=lambda finding: -finding.over)
    room = max(MOST_LINES - len(chosen), 0)
    # From most to least accounts over, in even steps.
    picked = {round(at * (len(others) - 1) / max(room - 1, 1)) for at in range(room)}
    shown = chosen + [others[at] for at in sorted(picked) if 0 <= at < len(others)]
    distinct: dict[tuple[int, ...], Finding] = {}
    for finding in shown:
        distinct.setdefault(tuple(finding.over_by_day), finding)
    return sorted(distinct.values(), key=lambda finding: finding.over)


def _write_names(axes: Axes, report: PlanReport, shown: Sequence[Finding]) -> None:
    """Name each line at its end, with room between the names."""
    most = max((_percent(finding.over, report) for finding in shown), default=0.0)
    gap, height = _LEAST_GAP * max(1.0, 1.08 * most), -1.0
    for finding in shown:
        share = _percent(finding.over, report)
        height = max(share, height + gap) if height >= 0 else share
        axes.annotate(
            f"{_words(finding)}: {finding.over:,} accounts",
            (len(report.days), height),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            annotation_clip=False,
            color=_INK if finding.policy in report.chosen.values() else "0.35",
        )


def _words(finding: Finding) -> str:
    policy, needed = finding.policy, finding.needed_classes
    cap = "" if policy.class_cap == CAP_OFF else f", or {policy.class_cap} budgets of one"
    classes = "1 class" if needed == 1 else f"{needed} classes"
    return f"{policy.budget} records in {classes}{cap}"


def _percent(count: int, report: PlanReport) -> float:
    return 100.0 * count / max(report.accounts, 1)
