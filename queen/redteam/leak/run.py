"""A measurement of the leak, from a plan to its file."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from queen.errors import ConfigError
from queen.redteam.leak.meter import LeakMeter
from queen.redteam.plans import PLANS
from queen.redteam.plans.cell import Cell
from queen.redteam.plans.plan import Part, baselines, ours
from queen.redteam.report.leaks import LEAK_COLUMNS, LEAKS, leak_rows, write_leaks
from queen.redteam.report.rows import Row
from queen.redteam.report.standings import PLAIN
from queen.redteam.runs.cache import Cache
from queen.redteam.runs.experiment import Experiment
from queen.redteam.runs.plan_run import PlanRun
from queen.serving.logging import configure_logging


def leak_cells(run: PlanRun) -> list[Cell]:
    """Every profile and baseline once, at the plan's budget; the selection says which of them.

    The cells are sorted by seed. Raises ConfigError for an unknown name.
    """
    plan = PLANS[run.plan]()
    part = Part("leak", [PLAIN], [*ours(plan.budget), *baselines()])
    cells = run.selection.apply(replace(plan, parts=(part,)))
    return sorted(cells, key=lambda cell: cell.seed)


def run_leak(run: PlanRun, console: Console) -> None:
    """Measure the leak, write leak.json into the run's folder, and show the table.

    The report of a run into the same folder has the leak in its tables. What was read is kept in
    the cache: a measurement that was stopped continues.
    """
    cells = leak_cells(run)
    if not cells:
        raise ConfigError("expected options that leave at least 1 defense of the plan, got 0")
    configure_logging("redteam", "error")
    rows: list[Row] = []
    with Progress(console=console) as progress:
        task = progress.add_task("begins", total=len(cells))
        for (dataset, seed), group in groupby(cells, lambda cell: (cell.dataset, cell.seed)):
            cache = Cache(run.folders.cache)
            meter = LeakMeter(Experiment(dataset, seed, cache, run.folders.data_dir))
            for cell in group:
                progress.update(task, description=f"{cell.profile or cell.defense}, seed {seed}")
                rows += meter.measure(cell)
                progress.advance(task)
    path = run.folders.out / LEAKS
    write_leaks(rows, run.command, path)
    console.print(_table(rows))
    console.print(f"Written to {path}", highlight=False)


def _table(rows: list[Row]) -> Table:
    table = Table(title="Labels read by a decoder, in percent", title_justify="left")
    for index, column in enumerate(LEAK_COLUMNS):
        table.add_column(column, justify="left" if index < 2 else "right")
    for line in leak_rows(rows):
        table.add_row(*line)
    return table
