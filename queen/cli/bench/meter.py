"""`queen bench meter`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from queen.cli import options
from queen.cli.bench.figures import empty_table, json_path, publish
from queen.cli.bench.options import experiment


@click.command()
@experiment
@options.accounts(20)
@json_path
def meter(json_path: Path | None, **asked: Any) -> None:
    """Count the images of strange pools that are answered before their account is flagged."""
    from queen.bench.meter import count_rows, run_meter_bench  # noqa: PLC0415 - loads Torch
    from queen.redteam.runs.cache import Cache  # noqa: PLC0415 - as the line above
    from queen.redteam.runs.experiment import Experiment  # noqa: PLC0415 - as the line above

    cache = Cache(asked.pop("cache"))
    protected = Experiment(asked.pop("dataset"), asked.pop("seed"), cache, asked.pop("data_dir"))
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("streams", total=count_rows())
        rows = run_meter_bench(protected, **asked, on_row=lambda: progress.advance(task))
    publish("meter", {"rows": rows}, meter_table(rows), json_path)


def meter_table(rows: list[dict[str, Any]]) -> Table:
    """A row for each stream of queries; known queries are named where they are repeated."""
    columns = ("pool", "known queries", "repeats after each image", "members", "median", "latest")
    table = empty_table("Images until their accounts are off-distribution", *columns)
    for row in rows:
        known = f"{row['known']:,}" if row["repeats"] else ""
        members = str(row["members"]) if row["members"] > 1 else ""
        counts = f"{row['median']:g}", f"{row['latest']:g}"
        table.add_row(row["pool"], known, str(row["repeats"]), members, *counts)
    return table
