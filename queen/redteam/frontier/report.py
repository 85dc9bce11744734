"""The frontier measured and reported: rows in JSON, a table, a picture."""

from __future__ import annotations

import json

from rich.console import Console
from rich.progress import Progress

from queen.redteam.frontier.plot import draw_frontier
from queen.redteam.frontier.summary import NOTES, summaries, summary_table
from queen.redteam.frontier.sweep import Sweep, run_sweep
from queen.redteam.runs.workers import Folders

JSON, PAGE, PICTURE = "frontier.json", "frontier.md", "frontier.png"


def report_frontier(sweep: Sweep, folders: Folders, command: str, console: Console) -> None:
    """Measure what is missing, and write and show the report.

    Raises ConfigError for a budget or a cap for which the regions have no room.
    """
    rows = []
    with Progress(console=console) as progress:
        task = progress.add_task("begins", total=None)
        for row in run_sweep(sweep, folders):
            rows.append(row)
            progress.update(task, advance=1, description=str(row["cell"])[:56])
    lines = summaries(rows)
    (folders.out / JSON).write_text(json.dumps(rows, indent=2, allow_nan=False) + "\n")
    page = f"# Frontier\n\n`{command}`\n\n{NOTES}\n{summary_table(lines)}\n"
    (folders.out / PAGE).write_text(page)
    draw_frontier(lines, folders.out / PICTURE)
    console.print(page, markup=False, highlight=False)
    console.print(f"Written to {folders.out}: {JSON}, {PAGE}, {PICTURE}", highlight=False)
