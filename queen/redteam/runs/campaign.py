"""A whole run: the plan's cells measured, with a bar that says how long it will take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from queen.errors import ConfigError
from queen.redteam.plans.cells import Cell
from queen.redteam.plans.choice import Choice
from queen.redteam.plans.plan import PLANS
from queen.redteam.report.report import Report, write_report
from queen.redteam.runs.harness import FAILED, Site, run_cells

_HOUR = 3600.0


@dataclass(frozen=True)
class Campaign:
    """What `queen redteam` was asked for."""

    site: Site
    plan: str = "smoke"
    choice: Choice = field(default_factory=Choice)
    jobs: int = 1
    command: str = "queen redteam"


def run_campaign(campaign: Campaign, console: Console) -> int:
    """Measure, write the report and show it; how many cells failed."""
    plan = PLANS[campaign.plan]()
    cells = campaign.choice.apply(plan)
    if not cells:
        raise ConfigError("expected options that leave at least 1 cell of the plan, got 0")
    console.print(f"Plan {plan.name}: {len(cells)} cells, {campaign.jobs} at once.")
    with _progress(console) as progress:
        task = progress.add_task("begins", total=len(cells))
        outcome = run_cells(
            cells,
            campaign.site,
            jobs=campaign.jobs,
            on_row=lambda cell: progress.update(task, advance=1, description=cell.title[:56]),
        )
    report = Report(outcome.rows, campaign.command, plan.left_out, _unmeasured(cells, outcome.rows))
    if outcome.rows:
        write_report(report, campaign.site.out, console)
    for reason in sorted({failure.reason for failure in outcome.failed.values()}):
        console.print("failed:", reason, style="red", markup=False)
    if outcome.failed:
        console.print(f"{len(outcome.failed)} cells failed: {campaign.site.out / FAILED}")
    return len(outcome.failed)


def _unmeasured(cells: Sequence[Cell], rows: Sequence[dict[str, object]]) -> list[str]:
    measured = {row["cell"] for row in rows}
    return [cell.title for cell in cells if cell.name not in measured]


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<56}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        # The pace of the whole run: a cell takes seconds or minutes.
        TimeRemainingColumn(),
        console=console,
        speed_estimate_period=_HOUR,
    )
