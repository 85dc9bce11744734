"""A plan run from its cells to its report, with a bar that tells the time left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
from queen.redteam.plans import PLANS
from queen.redteam.plans.cell import Cell
from queen.redteam.plans.selection import Selection
from queen.redteam.report.leaks import LEAKS, read_leaks
from queen.redteam.report.report import Report, write_report
from queen.redteam.report.rows import Row
from queen.redteam.runs.workers import FAILED, Folders, Outcome, adopt_rows, run_cells

_HOUR = 3600.0


@dataclass(frozen=True)
class PlanRun:
    """A run that `queen redteam` is asked for: a plan, a selection of its cells, and folders.

    `earlier` are reports of other runs, whose rows are not measured again. `command` is the command
    line that the report shows.
    """

    folders: Folders
    plan: str = "smoke"
    earlier: tuple[Path, ...] = ()
    selection: Selection = field(default_factory=Selection)
    jobs: int = 1
    command: str = "queen redteam"


def run_plan(run: PlanRun, console: Console) -> int:
    """Measure the cells, write and show the report; returns the number of cells that failed."""
    plan = PLANS[run.plan]()
    cells = run.selection.apply(plan)
    if not cells:
        raise ConfigError("expected options that leave at least 1 cell of the plan, got 0")
    for path in run.earlier:
        adopted, passed = adopt_rows(path, run.folders)
        console.print(f"{path}: {adopted} rows go on, {passed} are here or of another learner.")
    console.print(f"Plan {plan.name}: {len(cells)} cells, {run.jobs} at once.")
    outcome = _measure(run, cells, console)
    while further := _further(run, outcome.rows, cells):
        console.print(f"These rows decide on {len(further)} more cells.")
        more = _measure(run, further, console)
        cells = [*cells, *further]
        outcome = Outcome([*outcome.rows, *more.rows], {**outcome.failed, **more.failed})
    report = Report(
        outcome.rows,
        run.command,
        plan.left_out_of(outcome.rows),
        _unmeasured(cells, outcome.rows),
        read_leaks(run.folders.out / LEAKS),
    )
    if outcome.rows:
        write_report(report, run.folders.out, console)
    for reason in sorted({failure.reason for failure in outcome.failed.values()}):
        console.print("failed:", reason, style="red", markup=False)
    if outcome.failed:
        console.print(f"{len(outcome.failed)} cells failed: {run.folders.out / FAILED}")
    return len(outcome.failed)


def _measure(run: PlanRun, cells: Sequence[Cell], console: Console) -> Outcome:
    with _progress(console) as progress:
        task = progress.add_task("begins", total=len(cells))
        return run_cells(
            cells,
            run.folders,
            jobs=run.jobs,
            on_row=lambda cell: progress.update(task, advance=1, description=cell.title[:56]),
        )


def _further(run: PlanRun, rows: Sequence[Row], cells: Sequence[Cell]) -> list[Cell]:
    """Cells that follow from the rows and were not among the cells so far."""
    known = set(cells)
    further = run.selection.apply_further(PLANS[run.plan](), rows)
    return [cell for cell in further if cell not in known]


def _unmeasured(cells: Sequence[Cell], rows: Sequence[dict[str, object]]) -> list[str]:
    measured = {row["cell"] for row in rows}
    return [cell.title for cell in cells if cell.name not in measured]


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<56}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        # The bar shows the pace of the whole run, since a cell needs seconds or minutes.
        TimeRemainingColumn(),
        console=console,
        speed_estimate_period=_HOUR,
    )
