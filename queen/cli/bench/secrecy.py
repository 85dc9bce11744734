"""`queen bench secrecy`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from queen.cli import options
from queen.cli.bench.figures import empty_table, json_path, publish


@click.command()
@click.option("--dataset", default="fashion-mnist", show_default=True)
@options.queries(20_000, fewest=500)
@options.budget()
@click.option("--secrets", type=click.IntRange(min=1), default=3, show_default=True)
@options.seed
@options.cache()
@options.data_dir()
@json_path
def secrecy(json_path: Path | None, **asked: Any) -> None:
    """Measure answers between reversal and secrecy: what each tells of the true label."""
    from queen.bench.secrecy import (  # noqa: PLC0415 - loads Torch
        ANSWERS,
        SecrecyOptions,
        run_secrecy_bench,
    )

    chosen = SecrecyOptions(**asked)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("fits", total=len(ANSWERS))

        def show(title: str) -> None:
            progress.update(task, advance=1, description=title)

        rows = run_secrecy_bench(chosen, show)
    publish("secrecy", {"rows": rows}, secrecy_table(rows), json_path)


def secrecy_table(rows: list[dict[str, Any]]) -> Table:
    """A row for each answer, from the published reversal to a decoy."""
    columns = ("answer", "reversal", "labels read", "with a belief", "leak", "a copy")
    table = empty_table("Reversal and secrecy, answers to flagged queries", *columns)
    for row in rows:
        shares = (row["read"], row["read_with_belief"], row["leak"], row["learned"])
        table.add_row(row["title"], f"{row['reversal']:.2f}", *(f"{x:.1%}" for x in shares))
    return table
